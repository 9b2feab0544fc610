//! Tables with borders.

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Align {
    Left,
    Right,
}

pub struct Table {
    columns: Vec<(&'static str, Align)>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub fn new<const N: usize>(columns: [(&'static str, Align); N]) -> Self {
        Self { columns: columns.to_vec(), rows: Vec::new() }
    }

    pub fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.rows.push(cells.to_vec());
    }

    /// Every row between lines of its own.
    pub fn render(&self) -> String {
        let widths: Vec<usize> = (0..self.columns.len())
            .map(|index| {
                let cells = self.rows.iter().filter_map(|row| row.get(index));
                let widest = cells.map(|cell| cell.chars().count()).max().unwrap_or(0);
                widest.max(self.columns[index].0.len())
            })
            .collect();
        let border: String =
            widths.iter().map(|width| format!("+{}", "-".repeat(width + 2))).collect();
        let border = format!("{border}+\n");
        let mut text = border.clone();
        let titles: Vec<String> =
            self.columns.iter().map(|(title, _)| (*title).to_owned()).collect();
        for row in std::iter::once(&titles).chain(&self.rows) {
            for ((cell, width), (_, align)) in row.iter().zip(&widths).zip(&self.columns) {
                text += &match align {
                    Align::Left => format!("| {cell:<width$} "),
                    Align::Right => format!("| {cell:>width$} "),
                };
            }
            text += "|\n";
            text += &border;
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_and_numbers() {
        let mut table = Table::new([("LIST", Align::Left), ("NUM OF IPS", Align::Right)]);
        table.row(["Allow".to_owned(), "493".to_owned()]);
        table.row(["Dynamic (temporary)".to_owned(), "100".to_owned()]);
        let expected = "\
+---------------------+------------+
| LIST                | NUM OF IPS |
+---------------------+------------+
| Allow               |        493 |
+---------------------+------------+
| Dynamic (temporary) |        100 |
+---------------------+------------+
";
        assert_eq!(table.render(), expected);
    }
}
