//! Tables in one style.

use comfy_table::{Attribute, Cell, CellAlignment, ContentArrangement, Table, presets};

/// Returns a table without frames, whose long cells wrap to the terminal's width.
#[must_use]
pub fn plain<const N: usize>(header: [&str; N]) -> Table {
    titled(&header)
}

/// As [`plain`], with any number of columns.
#[must_use]
pub fn titled(header: &[&str]) -> Table {
    let mut table = Table::new();
    table
        .load_preset(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_header(header.iter().map(|title| Cell::new(title).add_attribute(Attribute::Bold)));
    table
}

/// Aligns the columns to the right, as numbers are.
pub fn align_right(table: &mut Table, columns: &[usize]) {
    for &column in columns {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
}

/// Returns a table of names and values.
#[must_use]
pub fn facts<'a>(rows: impl IntoIterator<Item = (&'a str, String)>) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    for (name, value) in rows {
        table.add_row([Cell::new(name).add_attribute(Attribute::Dim), Cell::new(value)]);
    }
    table
}
