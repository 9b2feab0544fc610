//! The services beside SIP that are guarded.

/// As the ports of a policy name it. The numbers are part of the ABI.
#[repr(u8)]
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Service {
    Ssh = 1,
    Http = 2,
    Tftp = 3,
}

impl Service {
    pub const ALL: [Service; 3] = [Self::Ssh, Self::Http, Self::Tftp];

    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            1 => Some(Self::Ssh),
            2 => Some(Self::Http),
            3 => Some(Self::Tftp),
            _ => None,
        }
    }

    /// The scope of a block that stops this service alone.
    #[inline(always)]
    pub const fn scope(self) -> u8 {
        1 << self as u8
    }

    /// TFTP is spoken over UDP, the others over TCP.
    #[inline(always)]
    pub const fn is_udp(self) -> bool {
        matches!(self, Self::Tftp)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_round_trip() {
        for service in Service::ALL {
            assert_eq!(Service::from_number(service as u8), Some(service));
        }
        assert_eq!((Service::from_number(0), Service::from_number(4)), (None, None));
    }
}
