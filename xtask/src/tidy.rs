//! The project's own rules about its sources, each with its reason.
//!
//! They look at text, not at meaning: comments and literals are blanked first, and what remains is
//! searched for words. What clippy can check is clippy's.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

const LINES_MAX: usize = 700;
const LANGUAGES: [&str; 3] = ["rs", "svelte", "ts"];

/// A rule broken in a place.
#[derive(Debug, PartialEq)]
pub struct Violation {
    /// Relative to the root of the checkout.
    path: String,
    /// Counted from one.
    line: usize,
    what: String,
    reason: &'static str,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, line, what, reason } = self;
        write!(f, "{path}:{line}: {what}: {reason}")
    }
}

/// Code that claims to be tested or written, and isn't.
const FORBIDDEN: [(&str, &str); 3] = [
    ("#[ignore", "a test that nobody runs proves nothing; a skip says which feature is missing"),
    ("todo!(", "what is in the tree works"),
    ("unimplemented!(", "what is in the tree works"),
];

/// A crate, and the one module of the controller that may name it.
struct Boundary {
    dependency: &'static str,
    module: &'static str,
    reason: &'static str,
}

const BOUNDARIES: [Boundary; 5] = [
    Boundary {
        dependency: "aya",
        module: "datapath",
        reason: "the rest must be testable without a kernel",
    },
    Boundary {
        dependency: "aya_log",
        module: "datapath",
        reason: "the rest must be testable without a kernel",
    },
    Boundary {
        dependency: "sled",
        module: "store",
        reason: "one module answers for what is safely on disk",
    },
    Boundary {
        dependency: "axum",
        module: "http",
        reason: "the daemon and its rules know nothing of HTTP",
    },
    Boundary {
        dependency: "async_nats",
        module: "fleet/nats",
        reason: "what is decided knows nothing of what carries it",
    },
];

/// What would make elements, or code, of text that a stranger chose.
const FORBIDDEN_IN_PAGES: [&str; 6] =
    ["{@html", "innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("];
const PAGES_REASON: &str = "attackers choose some of what is shown: it is text, always";

/// Checks every Rust source under `root`, and those of the dashboard.
pub fn check(root: &Path) -> Result<Vec<Violation>> {
    let mut violations = Vec::new();
    for path in sources(root)? {
        let text =
            fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let name = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().into_owned();
        let is_rust = name.ends_with(".rs");
        violations.extend(if is_rust {
            check_file(&name, &text)
        } else {
            check_page(&name, &text)
        });
    }
    Ok(violations)
}

/// Every file in one of our languages, sorted; builds and hidden directories hold none of ours.
fn sources(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let entries = fs::read_dir(dir).with_context(|| format!("cannot read {}", dir.display()))?;
    for entry in entries {
        let entry = entry.with_context(|| format!("cannot read {}", dir.display()))?;
        let (path, name) = (entry.path(), entry.file_name());
        let file_type =
            entry.file_type().with_context(|| format!("cannot read {}", path.display()))?;
        let skipped = ["target", "node_modules", "dist"].iter().any(|made| name == *made)
            || name.to_string_lossy().starts_with('.');
        if file_type.is_dir() && !skipped {
            found.extend(sources(&path)?);
        } else if file_type.is_file()
            && path.extension().is_some_and(|it| LANGUAGES.iter().any(|language| it == *language))
        {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

fn check_file(path: &str, text: &str) -> Vec<Violation> {
    let violation =
        |line, what: String, reason| Violation { path: path.to_owned(), line, what, reason };
    let mut violations = Vec::from_iter(too_long(path, text));
    if path.split('/').any(|part| part == "src") && !text.starts_with("//!") {
        let reason = "a module says first what it owns and what it must not know";
        violations.push(violation(1, "no `//!` on the first line".to_owned(), reason));
    }
    for (index, line) in blank_literals(text).lines().enumerate() {
        let forbidden = FORBIDDEN.iter().filter(|(word, _)| line.contains(word));
        let named = BOUNDARIES.iter().filter(|boundary| crosses(boundary, path, line));
        violations.extend(
            forbidden
                .map(|(word, reason)| ((*word).to_owned(), *reason))
                .chain(named.map(|boundary| {
                    let Boundary { dependency, module, reason } = boundary;
                    (format!("{dependency} is named outside of {module}"), *reason)
                }))
                .map(|(what, reason)| violation(index + 1, what, reason)),
        );
    }
    violations
}

fn too_long(path: &str, text: &str) -> Option<Violation> {
    let line = text.lines().count();
    (line > LINES_MAX).then(|| Violation {
        path: path.to_owned(),
        line,
        what: format!("{line} lines, at most {LINES_MAX}"),
        reason: "a file holds one concept, and is read as a whole",
    })
}

/// A file of the dashboard.
fn check_page(path: &str, text: &str) -> Vec<Violation> {
    let violation =
        |line, what: String, reason| Violation { path: path.to_owned(), line, what, reason };
    let mut violations = Vec::from_iter(too_long(path, text));
    for (index, line) in text.lines().enumerate() {
        let forbidden = FORBIDDEN_IN_PAGES.iter().filter(|word| line.contains(**word));
        violations
            .extend(forbidden.map(|word| violation(index + 1, (*word).to_owned(), PAGES_REASON)));
    }
    violations
}

/// Does this line of the controller name a crate that belongs to another of its modules?
fn crosses(boundary: &Boundary, path: &str, line: &str) -> bool {
    let Boundary { dependency, module, .. } = boundary;
    let Some(inside) = path.strip_prefix("sipprot-ctl/src/") else {
        return false;
    };
    let is_own = inside == format!("{module}.rs") || inside.starts_with(&format!("{module}/"));
    !is_own && names_crate(line, dependency)
}

/// `aya::…`, `use aya;`, `use aya as …` and `extern crate aya`, but neither `my_aya::…` nor
/// `crate::aya::…`.
fn names_crate(line: &str, name: &str) -> bool {
    line.match_indices(name).any(|(start, _)| {
        let (before, after) = (&line[..start], &line[start + name.len()..]);
        let is_word = |c: char| c.is_alphanumeric() || c == '_';
        if before.ends_with(is_word) || after.starts_with(is_word) {
            return false;
        }
        let is_nested = before
            .strip_suffix("::")
            .is_some_and(|path| path.ends_with(is_word) || path.ends_with('>'));
        let is_imported = ["use", "extern crate"].iter().any(|word| before.trim().ends_with(word));
        (after.starts_with("::") && !is_nested) || is_imported
    })
}

/// The text with comments, strings and characters blanked, line by line as before.
fn blank_literals(text: &str) -> String {
    let mut blanked = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let literal = literal_length(rest, blanked.chars().next_back());
        let taken = literal.unwrap_or(first.len_utf8());
        let (token, tail) = rest.split_at(taken);
        match literal {
            Some(_) => blanked.extend(token.chars().map(|c| if c == '\n' { c } else { ' ' })),
            None => blanked.push(first),
        }
        rest = tail;
    }
    blanked
}

/// The length of the comment, string or character that `text` begins with, if it does. `before` is the
/// character in front of it: an `r` that ends a name begins no raw string.
fn literal_length(text: &str, before: Option<char>) -> Option<usize> {
    let end_of = |pattern: &str, from: usize| {
        text[from..].find(pattern).map_or(text.len(), |at| from + at + pattern.len())
    };
    if text.starts_with("//") {
        return Some(text.find('\n').unwrap_or(text.len()));
    }
    if text.starts_with("/*") {
        return Some(end_of("*/", 2));
    }
    if text.starts_with('"') {
        return Some(quoted_length(text));
    }
    if text.starts_with('\'') {
        return character_length(text);
    }
    let hashes = text.strip_prefix('r')?;
    let marks = hashes.len() - hashes.trim_start_matches('#').len();
    let is_raw = hashes[marks..].starts_with('"');
    // A byte string's `b` is the one letter that may stand before the `r`.
    let ends_a_name = before.is_some_and(|c| (c.is_alphanumeric() && c != 'b') || c == '_');
    let closing = format!("\"{}", "#".repeat(marks));
    (is_raw && !ends_a_name).then(|| end_of(&closing, marks + 2))
}

/// The length of the string that `text` begins with, up to its closing quote.
fn quoted_length(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// The length of the character literal that `text` begins with; a lifetime is none.
fn character_length(text: &str) -> Option<usize> {
    let mut characters = text.char_indices().skip(1);
    let (_, first) = characters.next()?;
    if first == '\\' {
        let (escaped_at, escaped) = characters.next()?;
        let from = escaped_at + escaped.len_utf8();
        return text[from..].find('\'').map(|at| from + at + 1);
    }
    let (at, closing) = characters.next()?;
    (closing == '\'').then_some(at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_are_blanked() {
        fn check(text: &str, expected: &str) {
            assert_eq!(blank_literals(text), expected, "{text}");
        }
        check("a // b\nc", "a     \nc");
        check("a /* b\n */ c", "a     \n    c");
        check(r#"f("x\"y", z)"#, "f(      , z)");
        check("f('\"', z)", "f(   , z)");
        check(r"f('\'', '\u{1f}', 'é')", "f(    ,         ,    )");
        check("fn f<'a>(x: &'a str)", "fn f<'a>(x: &'a str)");
        check("r#\"a \" b\"# c", "           c");
        check("br\"a\" r", "b     r");
        check("\"open", "     ");
    }

    /// Asserts line and subject of each violation.
    fn check(path: &str, text: &str, expected: &[(usize, &str)]) {
        let violations = check_file(path, text);
        let found: Vec<_> = violations.iter().map(|v| (v.line, v.what.as_str())).collect();
        assert_eq!(found, expected, "{path}: {text}");
    }

    #[test]
    fn long_files_are_violations() {
        let what = "701 lines, at most 700";
        check("tests/tests/lab.rs", &"\n".repeat(701), &[(701, what)]);
        check("tests/tests/lab.rs", &"\n".repeat(700), &[]);
    }

    #[test]
    fn pages_make_no_elements_of_text() {
        fn check(text: &str, expected: &[(usize, &str)]) {
            let violations = check_page("sipprot-ctl/ui/src/pages/List.svelte", text);
            let found: Vec<_> = violations.iter().map(|v| (v.line, v.what.as_str())).collect();
            assert_eq!(found, expected, "{text}");
        }
        check("<p>{note}</p>", &[]);
        check("<p>\n{@html note}</p>", &[(2, "{@html")]);
        check("node.innerHTML = note;", &[(1, "innerHTML")]);
    }

    #[test]
    fn modules_begin_with_their_documentation() {
        let what = "no `//!` on the first line";
        check("xtask/src/main.rs", "fn main() {}\n", &[(1, what)]);
        check("sipprot-ctl/src/cli/status.rs", "", &[(1, what)]);
        check("xtask/src/main.rs", "//! What it owns.\n", &[]);
        check("tests/tests/lab.rs", "fn f() {}\n", &[]);
        check("sipprot-ctl/build.rs", "fn main() {}\n", &[]);
    }

    #[test]
    fn unfinished_code_is_a_violation() {
        let path = "bench/src/main.rs";
        check(path, "//!\nfn f() { todo!() }", &[(2, "todo!(")]);
        check(path, "//!\nfn f() { unimplemented!(\"x\") }", &[(2, "unimplemented!(")]);
        check(path, "//!\n#[ignore = \"slow\"]\nfn f() {}", &[(2, "#[ignore")]);
        check(path, "//! todo!()\n// todo!()\nlet s = \"todo!()\";", &[]);
    }

    #[test]
    fn a_dependency_stays_in_its_module() {
        let aya = "aya is named outside of datapath";
        check("sipprot-ctl/src/daemon.rs", "//!\nuse aya::Ebpf;", &[(2, aya)]);
        check("sipprot-ctl/src/rules/engine.rs", "//!\nlet e = aya::Ebpf::new();", &[(2, aya)]);
        check(
            "sipprot-ctl/src/daemon.rs",
            "//!\nuse aya;\nuse ::aya::Ebpf;",
            &[(2, aya), (3, aya)],
        );
        check("sipprot-ctl/src/datapath.rs", "//!\nuse aya::Ebpf;", &[]);
        check("sipprot-ctl/src/datapath/maps.rs", "//!\nuse aya::Ebpf;", &[]);
        check(
            "sipprot-ctl/src/daemon.rs",
            "//! aya::Ebpf\nuse my_aya::X;\nuse crate::aya::Y;",
            &[],
        );
        check("tests/src/lab.rs", "//!\nuse aya::Ebpf;", &[]);
        let aya_log = "aya_log is named outside of datapath";
        check("sipprot-ctl/src/daemon.rs", "//!\naya_log::EbpfLogger::init();", &[(2, aya_log)]);
        let sled = "sled is named outside of store";
        check("sipprot-ctl/src/http/api.rs", "//!\nfn f(db: &sled::Db) {}", &[(2, sled)]);
        check("sipprot-ctl/src/store/export.rs", "//!\nfn f(db: &sled::Db) {}", &[]);
        let axum = "axum is named outside of http";
        check("sipprot-ctl/src/store.rs", "//!\nuse axum::Router;", &[(2, axum)]);
    }
}
