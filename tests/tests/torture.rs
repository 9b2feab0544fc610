//! Torture in its shortest form: that its trials work, and nothing is lost when each fault comes once or twice.

use anyhow::Result;
use sipprot_tests::{
    lab::Lab,
    torture::{self, Length, Options},
};

#[test]
fn nothing_is_lost_when_each_fault_comes_once() -> Result<()> {
    let binary = std::env::var_os("SIPPROT_BIN");
    let missing = Lab::missing().or(binary.is_none().then(|| "SIPPROT_BIN".to_owned()));
    if let Some(missing) = missing {
        println!("skipped: needs {missing}");
        return Ok(());
    }
    let sipprot = binary.unwrap_or_default().into();
    let options =
        Options { sipprot, length: Length::Smoke, only: None, soak: None, markdown: None };
    assert!(torture::run(&options)?, "something was lost");
    Ok(())
}
