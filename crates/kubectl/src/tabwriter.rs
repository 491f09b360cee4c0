//! Columns aligned as Go's `text/tabwriter` does, with blanks as padding.

/// Text whose cells end with a tab, aligned. A column is a run of lines that have a cell there.
#[derive(Clone, Debug)]
pub struct TabWriter {
    min: usize,
    padding: usize,
    lines: Vec<Vec<String>>,
    widths: Vec<usize>,
    /// Widths of columns that earlier writers had: later ones are no narrower.
    remembered: Vec<usize>,
    /// Widest width of each column.
    seen: Vec<usize>,
}

impl TabWriter {
    /// `min` is the least width of a cell, padding included.
    pub fn new(min: usize, padding: usize) -> TabWriter {
        TabWriter {
            min,
            padding,
            lines: vec![vec![String::new()]],
            widths: Vec::new(),
            remembered: Vec::new(),
            seen: Vec::new(),
        }
    }

    /// As `kubectl get` uses it.
    pub fn table() -> TabWriter {
        TabWriter::new(6, 3)
    }

    /// As `kubectl describe` uses it.
    pub fn describe() -> TabWriter {
        TabWriter::new(0, 2)
    }

    /// Appends text: tabs end cells, newlines end lines.
    pub fn write(&mut self, text: &str) {
        for (i, line) in text.split('\n').enumerate() {
            if i > 0 {
                self.lines.push(vec![String::new()]);
            }
            for (j, cell) in line.split('\t').enumerate() {
                let here = self.lines.last_mut();
                match here {
                    Some(cells) if j > 0 => cells.push(cell.to_owned()),
                    Some(cells) => {
                        if let Some(last) = cells.last_mut() {
                            last.push_str(cell);
                        }
                    }
                    None => {}
                }
            }
        }
    }

    /// Columns will be no narrower than these.
    pub fn remember(&mut self, widths: &[usize]) {
        self.remembered = widths.to_vec();
    }

    /// The aligned text and the widths of its columns.
    pub fn finish_with_widths(mut self) -> (String, Vec<usize>) {
        let text = self.finish_inner();
        (text, self.seen)
    }

    /// The aligned text.
    pub fn finish(mut self) -> String {
        self.finish_inner()
    }

    fn finish_inner(&mut self) -> String {
        let mut out = String::new();
        let end = self.lines.len();
        let lines = core::mem::take(&mut self.lines);
        self.format(&lines, 0, end, &mut out);
        // The last line has no newline of its own.
        out.pop();
        out
    }

    fn format(&mut self, lines: &[Vec<String>], from: usize, to: usize, out: &mut String) {
        let column = self.widths.len();
        let mut start = from;
        let mut this = from;
        while this < to {
            if column + 1 >= lines[this].len() {
                this += 1;
                continue;
            }
            // Lines from here on have a cell that ends in this column.
            self.print(lines, start, this, out);
            start = this;
            let mut width = self.min.max(self.remembered.get(column).copied().unwrap_or(0));
            while this < to && column + 1 < lines[this].len() {
                let w = lines[this][column].chars().count();
                width = width.max(w + self.padding);
                this += 1;
            }
            if self.seen.len() <= column {
                self.seen.resize(column + 1, 0);
            }
            self.seen[column] = self.seen[column].max(width);
            self.widths.push(width);
            self.format(lines, start, this, out);
            self.widths.pop();
            start = this;
        }
        self.print(lines, start, to, out);
    }

    fn print(&self, lines: &[Vec<String>], from: usize, to: usize, out: &mut String) {
        for cells in &lines[from..to] {
            for (j, c) in cells.iter().enumerate() {
                out.push_str(c);
                if let Some(w) = self.widths.get(j).filter(|_| j + 1 < cells.len()) {
                    let pad = w.saturating_sub(c.chars().count());
                    out.extend(core::iter::repeat_n(' ', pad));
                }
            }
            out.push('\n');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aligns() {
        let mut w = TabWriter::table();
        w.write("NAME\tREADY\tAGE\n");
        w.write("a-long-name\t1/1\t5s\nb\t\t10m\n");
        assert_eq!(
            w.finish(),
            "NAME          READY   AGE\na-long-name   1/1     5s\nb                     10m\n"
        );
        let mut w = TabWriter::describe();
        w.write("Name:\tx\nLabels:\t<none>\nPlain\n  A:\tb\n");
        assert_eq!(w.finish(), "Name:    x\nLabels:  <none>\nPlain\n  A:  b\n");
    }
}
