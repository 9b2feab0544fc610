//! Passwords: what is taken for one, and its Argon2 hash.

use std::sync::LazyLock;

use argon2::password_hash::phc::PasswordHash;
use argon2::{Argon2, PasswordHasher, PasswordVerifier};

use crate::api::Fault;

const CHARACTERS: std::ops::RangeInclusive<usize> = 12..=256;

/// Length is what counts (NIST SP 800-63B); rules about kinds of characters only make worse ones.
pub fn check(field: &str, name: &str, password: &str) -> Result<(), Fault> {
    if !CHARACTERS.contains(&password.chars().count()) {
        return Err(Fault::invalid(field, "expected 12 to 256 characters"));
    }
    if password.to_lowercase().contains(&name.to_lowercase()) && password.len() < 2 * name.len() + 8
    {
        return Err(Fault::invalid(field, "hardly more than the name"));
    }
    Ok(())
}

/// Takes tens of milliseconds and 19 MiB (Argon2id as OWASP advises).
pub fn hash(password: &str) -> Option<String> {
    Some(Argon2::default().hash_password(password.as_bytes()).ok()?.to_string())
}

/// Takes as long. Of nobody's password it is never true, and takes no less: who may log in must not be
/// told by the time that a refusal takes.
pub fn is(password: &str, hash: Option<&str>) -> bool {
    static NOBODY: LazyLock<Option<String>> = LazyLock::new(|| self::hash("nobody has this one"));
    let known = hash.is_some();
    let Some(parsed) = hash.or(NOBODY.as_deref()).and_then(|it| PasswordHash::new(it).ok()) else {
        return false;
    };
    Argon2::default().verify_password(password.as_bytes(), &parsed).is_ok() && known
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_right_one() {
        let stored = hash("correct horse battery").unwrap();
        assert!(stored.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{stored}");
        assert!(is("correct horse battery", Some(&stored)));
        assert!(!is("correct horse batterY", Some(&stored)));
        assert!(!is("nobody has this one", None));
        assert!(!is("anything", Some("no hash")));
    }

    #[test]
    fn what_is_taken() {
        fn check(name: &str, password: &str, expected: bool) {
            assert_eq!(super::check("password", name, password).is_ok(), expected, "{password}");
        }
        check("ann", "elevenchars", false);
        check("ann", "twelve chars", true);
        check("ann", "été été été!", true);
        check("ann", &"x".repeat(257), false);
        check("annabelle", "Annabelle2026", false);
        check("ann", "Ann likes her own long sentence", true);
    }
}
