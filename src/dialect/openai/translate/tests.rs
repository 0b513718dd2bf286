//! The tables of the wire formats, row by row: requests read (§4.1), requests
//! written (§4.2, §4.3), and both one after the other.

mod fields;
mod reading;
mod round;
mod system;
mod writing;
