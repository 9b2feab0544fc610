//! The datapath on another kernel: test binaries in a machine of their own, whose first process starts one after
//! another and turns the machine off.
//!
//! `outside` lays the files together and starts the machine, `inside` is its first process; both are the program
//! `kernels`, which is in the machine under the name of `init`.

/// As the machine's first process.
pub mod inside;
/// On the host.
pub mod outside;

/// Where a machine's files are.
const PROGRAMS: &str = "programs";
const MODULES: &str = "modules";
const OBJECT: &str = "object";
const SIPPROT: &str = "sipprot";
/// What the report has on its last line, if all went well.
const ALL_PASSED: &str = "kernels: all passed";
