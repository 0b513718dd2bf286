//! Integration tests, on real sockets, one module an area.

mod fake;
