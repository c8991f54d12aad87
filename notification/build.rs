//! Names the templates of each language, a folder in `templates`, so that a language needs no code: see `src/mail/locale.rs`.

use std::collections::BTreeSet;
use std::error::Error;
use std::fmt::Write;
use std::path::Path;
use std::{env, fs};

/// The language that has everything: what it has, each of the others must have.
const WHOLE: &str = "en";

fn main() -> Result<(), Box<dyn Error>> {
    for watched in ["templates", "markup", "askama.toml"] {
        println!("cargo:rerun-if-changed={watched}");
    }
    let templates = Path::new("templates");
    let (locales, whole) = (names(templates)?, names(&templates.join(WHOLE))?);
    let (mut code, mut all) = (String::new(), String::new());
    for locale in &locales {
        let files = names(&templates.join(locale))?;
        let missing: Vec<&str> = whole.difference(&files).map(String::as_str).collect();
        if !missing.is_empty() {
            return Err(format!("notification/templates/{locale} lacks {}", missing.join(", ")).into());
        }
        let module = format!("locale_{}", locale.to_lowercase().replace('-', "_"));
        writeln!(code, "mail_locale! {{ {module} {locale:?}")?;
        for part in ["money", "date", "rejection", "more_lines", "waiting"] {
            writeln!(code, "    \"{locale}/{part}.txt\"")?;
        }
        for mail in whole.iter().filter_map(|file| file.strip_suffix(".subject.txt")) {
            let path = |ending: &str| format!("\"{locale}/{mail}.{ending}\"");
            writeln!(code, "    {} {} {} {}", variant(mail), path("subject.txt"), path("txt"), path("html"))?;
        }
        writeln!(code, "}}")?;
        write!(all, "&{module}::LOCALE, ")?;
    }
    writeln!(code, "/// Every language that there is.\npub(crate) const LOCALES: &[&MailLocale] = &[{all}];")?;
    writeln!(code, "/// The language of whoever reads none of the others.\nconst FALLBACK: &str = {WHOLE:?};")?;
    fs::write(Path::new(&env::var("OUT_DIR")?).join("locales.rs"), code)?;
    Ok(())
}

/// What is in a folder, in order.
fn names(folder: &Path) -> Result<BTreeSet<String>, Box<dyn Error>> {
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))? {
        names.insert(entry?.file_name().to_string_lossy().into_owned());
    }
    Ok(names)
}

/// A mail as `NotificationTemplate` has it: `order_confirmed` is `OrderConfirmed`.
fn variant(mail: &str) -> String {
    let mut variant = String::new();
    for word in mail.split('_') {
        let (first, rest) = word.split_at(1.min(word.len()));
        variant.push_str(&first.to_uppercase());
        variant.push_str(rest);
    }
    variant
}
