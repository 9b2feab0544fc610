//! Charts as SVG, from one run's figures alone: bars, and curves over sizes that grow tenfold.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::report::Report;
use crate::scaling::Curve;

const WIDTH: f64 = 720.0;
const LABEL: f64 = 180.0;
const ROW: f64 = 26.0;
const CURVE_HEIGHT: f64 = 220.0;
const MARGIN: f64 = 60.0;

struct Bar {
    label: String,
    value: f64,
    ours: bool,
}

/// Writes `floods.svg`, `nanoseconds.svg` and `scaling.svg`, those for which there are figures.
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
    if let Some(scaling) = &report.scaling {
        let path = directory.join("scaling.svg");
        fs::write(&path, curves(&scaling.curves))
            .with_context(|| format!("write {}", path.display()))?;
    }
    Ok(())
}

/// One below the other, each with a scale of its own.
fn curves(curves: &[Curve]) -> String {
    let mut svg = opening(CURVE_HEIGHT * curves.len() as f64);
    for (row, curve) in (0..).zip(curves) {
        let top = f64::from(row) * CURVE_HEIGHT;
        let sizes: Vec<f64> = curve.points.iter().map(|(size, _)| (*size as f64).log10()).collect();
        let span = |values: &[f64]| values.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
        let first = sizes.first().copied().unwrap_or_default();
        let width = span(&sizes.iter().map(|size| size - first).collect::<Vec<_>>());
        let most = span(&curve.points.iter().map(|(_, value)| *value).collect::<Vec<_>>());
        // Writing to a string can't fail.
        let _ = writeln!(
            svg,
            "<text x=\"12\" y=\"{}\" font-size=\"15\">{}, {}</text>",
            top + 20.0,
            escaped(curve.name),
            curve.unit
        );
        let mut line = String::new();
        for (size, (label, value)) in sizes.iter().zip(&curve.points) {
            let x = MARGIN + (size - first) / width * (WIDTH - 2.0 * MARGIN);
            let y = top + CURVE_HEIGHT - 40.0 - value / most * (CURVE_HEIGHT - 90.0);
            let _ = write!(line, "{x:.1},{y:.1} ");
            let _ = writeln!(
                svg,
                "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\" fill=\"#2a6f97\"/>\
                 <text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>\
                 <text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{label} {}</text>",
                y - 8.0,
                figure(*value),
                top + CURVE_HEIGHT - 14.0,
                curve.by
            );
        }
        let _ = writeln!(
            svg,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"#2a6f97\"/>",
            line.trim_end()
        );
    }
    svg + "</svg>\n"
}

fn opening(height: f64) -> String {
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" \
         font-family=\"sans-serif\" font-size=\"13\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n"
    )
}

fn figure(value: f64) -> String {
    if value < 100.0 { format!("{value:.2}") } else { format!("{value:.0}") }
}

fn chart(title: &str, bars: &[Bar]) -> String {
    let height = ROW * (bars.len() as f64 + 2.0);
    let most = bars.iter().map(|bar| bar.value).fold(f64::MIN_POSITIVE, f64::max);
    let mut svg = opening(height);
    // Writing to a string can't fail.
    let _ = writeln!(svg, "<text x=\"12\" y=\"20\" font-size=\"15\">{}</text>", escaped(title));
    for (row, Bar { label, value, ours }) in (1..).zip(bars) {
        let y = f64::from(row) * ROW + 8.0;
        let length = value / most * (WIDTH - LABEL - 80.0);
        let (fill, text) = (if *ours { "#2a6f97" } else { "#9aa5ad" }, y + 14.0);
        let _ = writeln!(
            svg,
            "<text x=\"{}\" y=\"{text}\" text-anchor=\"end\">{}</text>\
             <rect x=\"{LABEL}\" y=\"{y}\" width=\"{length:.1}\" height=\"18\" fill=\"{fill}\"/>\
             <text x=\"{:.1}\" y=\"{text}\">{}</text>",
            LABEL - 8.0,
            escaped(label),
            LABEL + length + 6.0,
            figure(*value)
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
    fn tenfold_sizes_are_equally_far_apart() {
        let points = vec![(10, 1.0), (100, 2.0), (1000, 4.0)];
        let svg = curves(&[Curve { name: "a", by: "b", unit: "ns", points }]);
        assert!(svg.contains("points=\"60.0,147.5 360.0,115.0 660.0,50.0\""), "{svg}");
    }

    #[test]
    fn the_longest_bar_is_the_greatest_value() {
        let bar = |label: &str, value| Bar { label: label.to_owned(), value, ours: true };
        let svg = chart("a < b", &[bar("small", 1.0), bar("great", 4.0)]);
        assert!(svg.contains("a &lt; b") && svg.ends_with("</svg>\n"));
        assert!(svg.contains("width=\"460.0\"") && svg.contains("width=\"115.0\""), "{svg}");
    }
}
