//! The configuration: any text gives a configuration or an error that names a line of it.

use std::path::Path;

use sipprot_ctl::config::Config;

pub fn check(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    if let Err(error) = Config::parse(Path::new("fuzzed.toml"), text) {
        assert!(!error.to_string().is_empty());
    }
}

pub fn seeds() -> Vec<Vec<u8>> {
    let documented = Config::documented_default();
    // Every default is in a comment.
    let set = documented.replace("# ", "").replace('#', "");
    vec![
        documented.into(),
        set.into(),
        b"[[endpoint]]\nname = \"a\"\naddresses = [\"192.0.2.1\"]\n".into(),
    ]
}
