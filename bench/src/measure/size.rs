//! How large the library is.

use std::path::Path;
use std::process::Command;

use super::{said, Bench};
use crate::contenders::KW;
use crate::results::{Case, Unit};

/// Measures the shared library as it is, and both without symbols. `lib` is where they
/// are installed.
pub fn measure(bench: &mut Bench, lib: &Path) -> Result<(), String> {
    eprintln!("size");
    let place = bench.place()?;
    let mut case = Case::new("size", "library", None);
    let files = [
        ("shared", "libkw.so", None),
        ("shared_stripped", "libkw.so", Some("--strip-unneeded")),
        ("static", "libkw.a", None),
        ("static_stripped", "libkw.a", Some("--strip-unneeded")),
    ];
    for (figure, file, strip) in files {
        let path = lib.join(file);
        let copy = place.path().join(figure);
        said(std::fs::copy(&path, &copy), &path)?;
        if let Some(option) = strip {
            let status = Command::new("strip").arg(option).arg(&copy).status();
            if !status.is_ok_and(|status| status.success()) {
                case.fail(KW, "strip (binutils) cannot be run".to_string());
                continue;
            }
        }
        let bytes = said(std::fs::metadata(&copy), &copy)?.len();
        case.add(KW, 0, figure, Unit::Bytes, bytes as f64);
    }
    bench.keep(&case);
    Ok(())
}
