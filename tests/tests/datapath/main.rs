//! The datapath's tables: every row is tried in the kernel and on the model.

mod paths;
