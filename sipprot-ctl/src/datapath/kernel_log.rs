//! Debug lines of the programs, in objects that were built with them.

use std::io;

use aya::Ebpf;
use aya_log::EbpfLogger;
use tokio::io::unix::AsyncFd;

type Logger = EbpfLogger<&'static dyn log::Log>;

/// The ring of debug lines; there is none in an ordinary build.
pub struct KernelLog(Logger);

impl KernelLog {
    pub(super) fn of(ebpf: &mut Ebpf) -> Option<Self> {
        // The only error is that the object has no such ring.
        EbpfLogger::init(ebpf).ok().map(Self)
    }

    /// Hands lines to the `log` crate until the task is dropped.
    pub async fn run(self) -> io::Result<()> {
        // SAFETY: the logger owns its map's descriptor and never gives out another.
        let mut ring = unsafe { AsyncFd::register(self.0) }?;
        loop {
            let mut ready = ring.readable_mut().await?;
            ready.get_inner_mut().flush();
            ready.clear_ready();
        }
    }
}
