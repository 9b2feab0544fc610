//! Secrets that the daemon makes itself: long and random, so that a plain hash keeps them.

use std::fs::File;
use std::io::{self, Read};

use sha2::{Digest, Sha256};

use crate::hex::hex;

const BYTES: usize = 32;

/// 256 random bits as hex digits.
pub fn random() -> io::Result<String> {
    let mut bytes = [0; BYTES];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(hex(&bytes))
}

pub fn hash(secret: &str) -> String {
    hex(&Sha256::digest(secret.as_bytes()))
}

/// What a page of ours must know to change something; it follows from the cookie and does not tell it.
pub fn csrf_token(cookie: &str) -> String {
    hash(&format!("csrf {cookie}"))
}
