//! The committed C header is the one that the source generates.

use std::path::Path;

#[test]
fn the_committed_header_is_what_the_source_generates() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let config = cbindgen::Config::from_file(here.join("cbindgen.toml")).unwrap();
    let mut generated = Vec::new();
    cbindgen::Builder::new()
        .with_config(config)
        .with_src(here.join("src/ffi/mod.rs"))
        .generate()
        .unwrap()
        .write(&mut generated);
    let generated = plain(&String::from_utf8(generated).unwrap());
    let file = here.join("include/kw.h");
    if std::env::var_os("KW_UPDATE_HEADER").is_some() {
        std::fs::create_dir_all(here.join("include")).unwrap();
        std::fs::write(&file, generated).unwrap();
        return;
    }
    let committed = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(
        committed == generated,
        "include/kw.h differs from the source: run `make header` and commit it"
    );
}

/// Rust's `# Safety` sections say in Rust's words what the C text says already.
fn plain(header: &str) -> String {
    let mut out = String::new();
    let mut in_safety = false;
    for line in header.lines() {
        let text = line.trim();
        if text == "* # Safety" {
            in_safety = true;
            while out.ends_with(" *\n") {
                out.truncate(out.len() - " *\n".len());
            }
            continue;
        }
        if text.starts_with("*/") {
            in_safety = false;
        }
        if in_safety {
            continue;
        }
        // A negative number in a macro wants its parentheses.
        match line
            .strip_prefix("#define KW_E_")
            .and_then(|l| l.split_once(" -"))
        {
            Some((name, number)) => out.push_str(&format!("#define KW_E_{name} (-{number})")),
            None => out.push_str(line),
        }
        out.push('\n');
    }
    out
}
