//! Bar charts as SVG, from one run's figures alone.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::report::Report;

const WIDTH: f64 = 720.0;
const LABEL: f64 = 180.0;
const ROW: f64 = 26.0;

struct Bar {
    label: String,
    value: f64,
    ours: bool,
}

/// Writes `floods.svg` and `nanoseconds.svg`, those for which there are figures.
pub fn write(report: &Report, directory: &Path) -> Result<()> {
    fs::create_dir_all(directory).with_context(|| format!("make {}", directory.display()))?;
    let floods: Vec<Bar> = report
        .floods
        .iter()
        .filter(|flood| flood.name != "floor_again")
        .map(|flood| Bar {
            label: flood.name.replace('_', " "),
            value: flood.mpps,
            ours: flood.name.starts_with("flood"),
        })
        .collect();
    let nanoseconds = report.ns.iter().flat_map(|ns| ns.rows()).filter(|(.., base)| *base > 0);
    let nanoseconds: Vec<Bar> = nanoseconds
        .map(|(name, gross, base)| Bar {
            label: name.replace('_', " "),
            value: gross.saturating_sub(base) as f64,
            ours: true,
        })
        .collect();
    let charts = [
        ("floods.svg", "Forged floods, million packets a second on one core", floods),
        ("nanoseconds.svg", "Nanoseconds per packet, net of an empty program", nanoseconds),
    ];
    for (name, title, bars) in charts {
        if !bars.is_empty() {
            let path = directory.join(name);
            fs::write(&path, chart(title, &bars))
                .with_context(|| format!("write {}", path.display()))?;
        }
    }
    Ok(())
}

fn chart(title: &str, bars: &[Bar]) -> String {
    let height = ROW * (bars.len() as f64 + 2.0);
    let most = bars.iter().map(|bar| bar.value).fold(f64::MIN_POSITIVE, f64::max);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" \
         font-family=\"sans-serif\" font-size=\"13\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n\
         <text x=\"12\" y=\"20\" font-size=\"15\">{}</text>\n",
        escaped(title)
    );
    for (row, Bar { label, value, ours }) in (1..).zip(bars) {
        let y = f64::from(row) * ROW + 8.0;
        let length = value / most * (WIDTH - LABEL - 80.0);
        let (fill, text) = (if *ours { "#2a6f97" } else { "#9aa5ad" }, y + 14.0);
        // Writing to a string can't fail.
        let _ = writeln!(
            svg,
            "<text x=\"{}\" y=\"{text}\" text-anchor=\"end\">{}</text>\
             <rect x=\"{LABEL}\" y=\"{y}\" width=\"{length:.1}\" height=\"18\" fill=\"{fill}\"/>\
             <text x=\"{:.1}\" y=\"{text}\">{}</text>",
            LABEL - 8.0,
            escaped(label),
            LABEL + length + 6.0,
            if *value < 100.0 { format!("{value:.2}") } else { format!("{value:.0}") }
        );
    }
    svg + "</svg>\n"
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_bar_is_the_greatest_value() {
        let bar = |label: &str, value| Bar { label: label.to_owned(), value, ours: true };
        let svg = chart("a < b", &[bar("small", 1.0), bar("great", 4.0)]);
        assert!(svg.contains("a &lt; b") && svg.ends_with("</svg>\n"));
        assert!(svg.contains("width=\"460.0\"") && svg.contains("width=\"115.0\""), "{svg}");
    }
}
