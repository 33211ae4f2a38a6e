//! Tells the linker what the library is called, and where libkqueue is.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=KW_INSTALL_NAME");
    #[cfg(feature = "libkqueue")]
    find_libkqueue();
    // Programs name the library by its major version: that is what they load,
    // and what changes when they would have to be built anew.
    let major = env("CARGO_PKG_VERSION_MAJOR");
    let minor = env("CARGO_PKG_VERSION_MINOR");
    let patch = env("CARGO_PKG_VERSION_PATCH");
    if env("CARGO_CFG_TARGET_VENDOR") == "apple" {
        // A package manager that installs into a fixed place names that one.
        let name = std::env::var("KW_INSTALL_NAME")
            .unwrap_or_else(|_| format!("@rpath/libkw.{major}.dylib"));
        link_arg(&format!("-Wl,-install_name,{name}"));
        link_arg(&format!("-Wl,-current_version,{major}.{minor}.{patch}"));
        link_arg(&format!("-Wl,-compatibility_version,{major}.{minor}.0"));
    } else {
        link_arg(&format!("-Wl,-soname,libkw.so.{major}"));
    }
}

/// Links libkqueue, on Linux; elsewhere kqueue is the kernel's own.
#[cfg(feature = "libkqueue")]
fn find_libkqueue() {
    if env("CARGO_CFG_TARGET_OS") == "linux" {
        if let Err(error) = pkg_config::probe_library("libkqueue") {
            panic!("the feature `libkqueue` needs an installed libkqueue: {error}");
        }
    }
}

fn link_arg(argument: &str) {
    println!("cargo:rustc-cdylib-link-arg={argument}");
}

/// A variable that cargo sets for every build script.
fn env(name: &str) -> String {
    std::env::var(name).unwrap_or_default()
}
