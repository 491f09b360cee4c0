//! Tar archives, as much as `kubectl cp` needs: regular files and directories in ustar format.

/// An entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Path; a directory's ends with a slash.
    pub name: String,
    /// Permissions.
    pub mode: u32,
    /// Content.
    pub data: Vec<u8>,
}

const BLOCK: usize = 512;

fn octal(field: &mut [u8], value: u64) {
    let width = field.len() - 1;
    let text = format!("{value:0width$o}");
    field[..width].copy_from_slice(&text.as_bytes()[text.len() - width..]);
}

/// An archive of entries whose names fit the format; those that don't are left out.
pub fn pack(entries: &[Entry]) -> Vec<u8> {
    let mut out = Vec::new();
    for e in entries {
        let Some((prefix, name)) = split_name(&e.name) else { continue };
        let mut h = [0u8; BLOCK];
        h[..name.len()].copy_from_slice(name.as_bytes());
        h[345..345 + prefix.len()].copy_from_slice(prefix.as_bytes());
        octal(&mut h[100..108], u64::from(e.mode));
        octal(&mut h[108..116], 0);
        octal(&mut h[116..124], 0);
        octal(&mut h[124..136], e.data.len() as u64);
        octal(&mut h[136..148], 0);
        h[148..156].fill(b' ');
        h[156] = if e.name.ends_with('/') { b'5' } else { b'0' };
        h[257..265].copy_from_slice(b"ustar\x0000");
        let sum: u64 = h.iter().map(|b| u64::from(*b)).sum();
        octal(&mut h[148..155], sum);
        out.extend_from_slice(&h);
        out.extend_from_slice(&e.data);
        out.resize(out.len().next_multiple_of(BLOCK), 0);
    }
    out.resize(out.len() + 2 * BLOCK, 0);
    out
}

/// Prefix and name of at most 155 and 100 bytes.
fn split_name(name: &str) -> Option<(&str, &str)> {
    if name.len() <= 100 {
        return Some(("", name));
    }
    name.char_indices()
        .filter(|(_, c)| *c == '/')
        .map(|(i, _)| (&name[..i], &name[i + 1..]))
        .find(|(p, n)| p.len() <= 155 && n.len() <= 100 && !n.is_empty())
}

/// The entries of an archive, or what is wrong with it.
pub fn unpack(mut data: &[u8]) -> Result<Vec<Entry>, &'static str> {
    let mut out = Vec::new();
    let mut long: Option<String> = None;
    while data.len() >= BLOCK && data[..BLOCK].iter().any(|b| *b != 0) {
        let (h, rest) = data.split_at(BLOCK);
        let text = |from: usize, to: usize| {
            let field = &h[from..to];
            let end = field.iter().position(|b| *b == 0).unwrap_or(field.len());
            String::from_utf8_lossy(&field[..end]).into_owned()
        };
        let number = |from: usize, to: usize| u64::from_str_radix(text(from, to).trim(), 8);
        let size = number(124, 136).map_err(|_| "archive/tar: invalid tar header")? as usize;
        let body = rest.get(..size).ok_or("unexpected EOF")?;
        data = rest.get(size.next_multiple_of(BLOCK).min(rest.len())..).unwrap_or(&[]);
        let prefix = if &h[257..262] == b"ustar" { text(345, 500) } else { String::new() };
        let mut name = if prefix.is_empty() { text(0, 100) } else { format!("{prefix}/{}", text(0, 100)) };
        match h[156] {
            b'L' => {
                long = Some(String::from_utf8_lossy(body).trim_end_matches('\0').to_owned());
                continue;
            }
            b'5' | b'0' | 0 => {}
            _ => {
                long = None;
                continue;
            }
        }
        if let Some(n) = long.take() {
            name = n;
        }
        if h[156] == b'5' && !name.ends_with('/') {
            name.push('/');
        }
        let mode = number(100, 108).unwrap_or(0o644) as u32 & 0o7777;
        out.push(Entry { name, mode, data: body.to_vec() });
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        let long = format!("{}/{}", "d".repeat(120), "f".repeat(90));
        let entries = vec![
            Entry { name: "a/".into(), mode: 0o755, data: Vec::new() },
            Entry { name: "a/b.txt".into(), mode: 0o644, data: b"hello".to_vec() },
            Entry { name: long, mode: 0o600, data: vec![7; 1500] },
        ];
        assert_eq!(unpack(&pack(&entries)), Ok(entries));
        assert_eq!(unpack(&[]), Ok(Vec::new()));
        assert_eq!(unpack(&[b'x'; 600]), Err("archive/tar: invalid tar header"));
    }
}
