//! What XDP and TC see of a packet, behind one trait.

use aya_ebpf::EbpfContext;
use aya_ebpf::helpers::generated::{bpf_skb_load_bytes, bpf_xdp_load_bytes};
use aya_ebpf::programs::{TcContext, XdpContext};
use sipprot_common::sip::Text;

use crate::maps::Direction;

pub trait Frame {
    /// Whose scratch space goes with it.
    const DIRECTION: Direction;
    /// First byte and end of what can be read directly.
    fn bounds(&self) -> (usize, usize);
    /// Of the whole packet.
    fn length(&self) -> u64;
    /// Copies `length` bytes (1 to the text's capacity) from `offset`; false when they aren't there.
    fn load(&self, offset: u32, text: &mut Text, length: u32) -> bool;
    fn ifindex(&self) -> u32;
}

impl Frame for XdpContext {
    const DIRECTION: Direction = Direction::Ingress;

    #[inline(always)]
    fn bounds(&self) -> (usize, usize) {
        (self.data(), self.data_end())
    }

    #[inline(always)]
    fn length(&self) -> u64 {
        (self.data_end() - self.data()) as u64
    }

    #[inline(always)]
    fn load(&self, offset: u32, text: &mut Text, length: u32) -> bool {
        // SAFETY: the text has room for `length`; the helper checks the packet's side.
        let done =
            unsafe { bpf_xdp_load_bytes(self.ctx, offset, text.bytes.as_mut_ptr().cast(), length) };
        done == 0
    }

    #[inline(always)]
    fn ifindex(&self) -> u32 {
        // SAFETY: the context is valid while the program runs.
        unsafe { (*self.ctx).ingress_ifindex }
    }
}

impl Frame for TcContext {
    const DIRECTION: Direction = Direction::Egress;

    #[inline(always)]
    fn bounds(&self) -> (usize, usize) {
        (self.data(), self.data_end())
    }

    #[inline(always)]
    fn length(&self) -> u64 {
        self.len() as u64
    }

    #[inline(always)]
    fn load(&self, offset: u32, text: &mut Text, length: u32) -> bool {
        // SAFETY: the text has room for `length`; the helper checks the packet's side.
        let done = unsafe {
            bpf_skb_load_bytes(self.as_ptr(), offset, text.bytes.as_mut_ptr().cast(), length)
        };
        done == 0
    }

    #[inline(always)]
    fn ifindex(&self) -> u32 {
        // SAFETY: the context is valid while the program runs.
        unsafe { (*self.skb.skb).ifindex }
    }
}
