//! Keys: Ed25519, written as NATS writes them, so that a host has one identity for both.

use nkeys::{KeyPair, KeyPairType};

/// Signs in somebody's name.
pub struct Signer(KeyPair);

/// Knows somebody's signature.
pub struct Verifier(KeyPair);

#[derive(Debug, thiserror::Error)]
#[error("not a key: {0}")]
pub struct KeyError(String);

/// A key as text: the secret seed, and what others know it by.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Made {
    pub seed: String,
    pub public: String,
}

/// For who connects: a host, or the hub.
pub fn make_user() -> Result<Made, KeyError> {
    make(KeyPairType::User)
}

/// For what the hub publishes, whoever connects in its name.
pub fn make_operator() -> Result<Made, KeyError> {
    make(KeyPairType::Operator)
}

fn make(kind: KeyPairType) -> Result<Made, KeyError> {
    let pair = KeyPair::new(kind);
    let seed = pair.seed().map_err(|error| KeyError(error.to_string()))?;
    Ok(Made { seed, public: pair.public_key() })
}

impl Signer {
    pub fn new(seed: &str) -> Result<Self, KeyError> {
        KeyPair::from_seed(seed.trim()).map(Self).map_err(|error| KeyError(error.to_string()))
    }

    pub fn public(&self) -> String {
        self.0.public_key()
    }

    pub fn sign(&self, text: &[u8]) -> [u8; 64] {
        let signature = self.0.sign(text).unwrap_or_default();
        signature.try_into().unwrap_or([0; 64])
    }
}

impl Verifier {
    pub fn new(public: &str) -> Result<Self, KeyError> {
        let pair = KeyPair::from_public_key(public.trim());
        pair.map(Self).map_err(|error| KeyError(error.to_string()))
    }

    pub fn knows(&self, text: &[u8], signature: &[u8]) -> bool {
        self.0.verify(text, signature).is_ok()
    }
}
