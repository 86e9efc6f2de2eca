#![no_main]
//! Frames of Json commands.

use campanile_common::Codec;
use campanile_fuzz::check_frame;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|frame: &[u8]| check_frame(Codec::Json, frame));
