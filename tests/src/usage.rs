//! What a process takes: CPU time, as the scheduler counts it, and memory.

use std::fs;

use anyhow::{Context, Result};

/// Seconds on a CPU so far, of all threads.
pub fn cpu_seconds(process: u32) -> Result<f64> {
    let mut nanoseconds = 0;
    for task in fs::read_dir(format!("/proc/{process}/task")).context("threads")? {
        let path = task?.path().join("schedstat");
        let spent = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        let on_cpu = spent.split(' ').next().context("a first field")?;
        nanoseconds += on_cpu.parse::<u64>().context("nanoseconds on a CPU")?;
    }
    Ok(nanoseconds as f64 / 1e9)
}

/// MiB that are in memory now; what it maps of others counts as well.
pub fn resident_mib(process: u32) -> Result<f64> {
    status_mib(process, "VmRSS:")
}

/// The most that it ever was.
pub fn peak_mib(process: u32) -> Result<f64> {
    status_mib(process, "VmHWM:")
}

fn status_mib(process: u32, field: &str) -> Result<f64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).context("status")?;
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    let kib = line.and_then(|line| line.split_whitespace().next());
    let kib = kib.with_context(|| format!("no {field}"))?;
    Ok(kib.parse::<f64>().context("KiB")? / 1024.0)
}
