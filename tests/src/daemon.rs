//! to come
use crate::namespace::Namespace;
use anyhow::Result;
use std::path::Path;
#[derive(Debug)]
pub struct Daemon;
impl Daemon {
    pub fn new(_host: &Namespace, _program: &Path, _directory: &Path) -> Result<Self> {
        Ok(Self)
    }
}
