//! Frames that nobody should send.
