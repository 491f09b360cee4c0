//! The shell's syntax tree: shared, never changed after parsing.

use smol_str::SmolStr;
use std::sync::{Arc, OnceLock};

/// Commands in sequence.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct List {
    /// The and-or lists, each with whether it runs in the background.
    pub items: Vec<(AndOr, bool)>,
}

/// How a pipeline is joined to the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Join {
    /// `&&`
    And,
    /// `||`
    Or,
}

/// Pipelines joined by `&&` and `||`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AndOr {
    /// The first.
    pub first: Pipeline,
    /// The others.
    pub rest: Vec<(Join, Pipeline)>,
}

/// Commands joined by pipes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pipeline {
    /// `!`
    pub negate: bool,
    /// The commands.
    pub commands: Vec<Arc<Command>>,
}

/// One command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// What it is.
    pub kind: Kind,
    /// Its redirections.
    pub redirs: Vec<Redir>,
    /// The line on which it begins, from 1.
    pub line: u32,
}

/// Kinds of commands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Assignments, a name and arguments.
    Simple {
        /// `NAME=word`
        assigns: Vec<(SmolStr, Word)>,
        /// The words.
        words: Vec<Word>,
    },
    /// `{ …; }`
    Brace(Arc<List>),
    /// `( … )`
    Subshell(Arc<List>),
    /// `if`
    If {
        /// Conditions with their branches.
        arms: Vec<(Arc<List>, Arc<List>)>,
        /// `else`
        otherwise: Option<Arc<List>>,
    },
    /// `while` and `until`
    While {
        /// `until`
        until: bool,
        /// The condition.
        cond: Arc<List>,
        /// The body.
        body: Arc<List>,
    },
    /// `for`
    For {
        /// The variable.
        name: SmolStr,
        /// The words; `None` stands for `"$@"`.
        words: Option<Vec<Word>>,
        /// The body.
        body: Arc<List>,
    },
    /// `case`
    Case {
        /// The subject.
        word: Word,
        /// Patterns with their branches.
        arms: Vec<(Vec<Word>, Arc<List>)>,
    },
    /// A function's definition.
    Function {
        /// Its name.
        name: SmolStr,
        /// Its body.
        body: Arc<Command>,
    },
}

/// A redirection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redir {
    /// The descriptor before the operator.
    pub fd: Option<i32>,
    /// Operator and target.
    pub to: Target,
}

/// What a redirection does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// `<`
    Read(Word),
    /// `>`
    Write(Word),
    /// `>|`
    Clobber(Word),
    /// `>>`
    Append(Word),
    /// `<>`
    ReadWrite(Word),
    /// `<&` and `>&`; `true` is output.
    Dup(Word, bool),
    /// `&>` of bash.
    Both(Word),
    /// `<<` and `<<-`: set once its body has been read.
    Here(Arc<OnceLock<Word>>),
    /// `<<<` of bash.
    HereString(Word),
}

/// A word before expansion.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Word {
    /// Its pieces.
    pub parts: Vec<Part>,
}

impl Word {
    /// The text, if it is one literal without quotes.
    pub fn literal(&self) -> Option<&str> {
        match self.parts.as_slice() {
            [Part::Lit(s)] => Some(s),
            _ => None,
        }
    }
}

/// A piece of a word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// Unquoted text.
    Lit(SmolStr),
    /// Quoted text.
    Quoted(SmolStr),
    /// `~` or `~user` at a word's beginning.
    Tilde(SmolStr),
    /// A parameter.
    Param {
        /// Its name, number or sign.
        name: SmolStr,
        /// What is done with it.
        op: Op,
        /// Whether it stands in double quotes.
        quoted: bool,
    },
    /// `$(…)` or backquotes.
    Command {
        /// The commands.
        list: Arc<List>,
        /// Whether it stands in double quotes.
        quoted: bool,
    },
    /// `$((…))`
    Arith {
        /// The expression.
        word: Word,
        /// Whether it stands in double quotes.
        quoted: bool,
    },
}

/// What `${…}` does with its parameter. `colon`: an empty value counts as unset.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Op {
    /// `$x`
    Value,
    /// `${#x}`
    Length,
    /// `${x-w}`
    Default { colon: bool, word: Word },
    /// `${x=w}`
    Assign { colon: bool, word: Word },
    /// `${x?w}`
    Error { colon: bool, word: Word },
    /// `${x+w}`
    Alt { colon: bool, word: Word },
    /// `${x#w}` and `${x##w}`
    TrimPrefix { long: bool, word: Word },
    /// `${x%w}` and `${x%%w}`
    TrimSuffix { long: bool, word: Word },
    /// `${x/w/w}` and `${x//w/w}`
    Replace { all: bool, pattern: Word, with: Word },
    /// `${x:n}` and `${x:n:n}`
    Substring { from: Word, len: Option<Word> },
    /// A form that does not exist: an error only when it is expanded.
    Bad,
}
