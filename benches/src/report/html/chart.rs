//! Lines over two axes, as SVG.

use std::fmt::Write as _;

use super::scale::Scale;
use super::text::{Escaped, quantity};

/// The drawing's size in its own units. It is as wide as a phone, so that letters can be read there, and two of them stand
/// beside each other on larger screens.
const WIDTH: f64 = 480.0;
const HEIGHT: f64 = 250.0;
/// Around the lines, for what is written on the axes.
const LEFT: f64 = 62.0;
const RIGHT: f64 = 24.0;
const TOP: f64 = 20.0;
const BOTTOM: f64 = 40.0;

/// Points of a line that tell their numbers when they are pointed at. With more of them, nobody could.
const MOST_HINTS: usize = 150;

/// A drawing with its caption.
pub(super) struct Chart {
    pub(super) title: String,
    pub(super) x: Axis,
    pub(super) y: Axis,
    pub(super) lines: Vec<Line>,
    /// Points on the x axis where something begins, and what.
    pub(super) marks: Vec<(f64, String)>,
}

pub(super) struct Axis {
    pub(super) label: &'static str,
    pub(super) scale: Scale,
    /// How its numbers are written.
    pub(super) written: fn(f64) -> String,
}

pub(super) struct Line {
    pub(super) name: String,
    pub(super) colour: usize,
    /// Which of the patterns of dashes; 0: none.
    pub(super) dashes: usize,
    pub(super) points: Vec<(f64, f64)>,
}

impl Chart {
    /// Nothing if there is nothing to draw.
    pub(super) fn html(&self) -> String {
        if self.lines.iter().all(|line| line.points.is_empty()) {
            return String::new();
        }
        let title = Escaped(&self.title);
        let mut text = format!(
            "<figure>\n<figcaption><b>{title}</b>{}</figcaption>\n",
            self.legend()
        );
        // Writing to a text cannot fail.
        let _ = writeln!(
            text,
            "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{title}\">"
        );
        self.draw_axes(&mut text);
        for line in &self.lines {
            self.draw(line, &mut text);
        }
        text + "</svg>\n</figure>\n"
    }

    /// Which line is what; lines of the same name once.
    fn legend(&self) -> String {
        let mut text = String::new();
        let mut named: Vec<&str> = Vec::new();
        for line in &self.lines {
            if !named.contains(&line.name.as_str()) && !line.points.is_empty() {
                named.push(&line.name);
                let _ = write!(
                    text,
                    "<span class=\"legend\"><svg viewBox=\"0 0 24 8\" aria-hidden=\"true\">\
                     <path class=\"line c{} d{}\" d=\"M0 4H24\"/></svg>{}</span>",
                    line.colour % 8,
                    line.dashes % 5,
                    Escaped(&line.name),
                );
            }
        }
        // One line that is called as the chart is needs no words.
        if named == [self.title.as_str()] {
            String::new()
        } else {
            text
        }
    }

    fn draw_axes(&self, text: &mut String) {
        let (left, right, top, bottom) = (LEFT, WIDTH - RIGHT, TOP, HEIGHT - BOTTOM);
        for tick in self.y.scale.ticks() {
            let y = self.y_of(tick);
            let label = quantity(&trimmed(&(self.y.written)(tick)));
            let _ = writeln!(
                text,
                "<path class=\"grid\" d=\"M{left:.1} {y:.1}H{right:.1}\"/><text class=\"y\" x=\"{:.1}\" y=\"{:.1}\">{label}</text>",
                left - 6.0,
                y + 4.0,
            );
        }
        for tick in self.x.scale.ticks() {
            let x = self.x_of(tick);
            let label = quantity(&trimmed(&(self.x.written)(tick)));
            let _ = writeln!(
                text,
                "<path class=\"tick\" d=\"M{x:.1} {bottom:.1}v4\"/><text class=\"x\" x=\"{x:.1}\" y=\"{:.1}\">{label}</text>",
                bottom + 17.0,
            );
        }
        let mut free = left;
        for (at, name) in &self.marks {
            let x = self.x_of(*at);
            let _ = write!(text, "<path class=\"mark\" d=\"M{x:.1} {top:.1}V{bottom:.1}\"/>");
            #[expect(clippy::cast_precision_loss, reason = "names are short")]
            let length = 6.5 * name.chars().count() as f64;
            // The last ones are moved to the left, to stay on the drawing; one that would run into another is left out.
            let begin = (x + 3.0).min(WIDTH - length);
            if begin >= free {
                let y = top - 6.0;
                let _ = write!(
                    text,
                    "<text class=\"name\" x=\"{begin:.1}\" y=\"{y:.1}\">{}</text>",
                    Escaped(name)
                );
                free = begin + length + 6.0;
            }
            text.push('\n');
        }
        let _ = writeln!(
            text,
            "<path class=\"axis\" d=\"M{left:.1} {bottom:.1}H{right:.1}\"/><text class=\"label\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
            right,
            HEIGHT - 5.0,
            Escaped(self.x.label),
        );
    }

    fn draw(&self, line: &Line, text: &mut String) {
        let mut path = String::new();
        for (index, (x, y)) in line.points.iter().enumerate() {
            let verb = if index == 0 { 'M' } else { 'L' };
            let _ = write!(path, "{verb}{:.1} {:.1}", self.x_of(*x), self.y_of(*y));
        }
        let class = format!("c{} d{}", line.colour % 8, line.dashes % 5);
        let _ = writeln!(text, "<path class=\"line {class}\" d=\"{path}\"/>");
        if line.points.len() == 1 {
            let (x, y) = line.points[0];
            let _ = writeln!(
                text,
                "<circle class=\"dot {class}\" cx=\"{:.1}\" cy=\"{:.1}\" r=\"3\"/>",
                self.x_of(x),
                self.y_of(y)
            );
        }
        if line.points.len() <= MOST_HINTS {
            self.draw_hints(line, text);
        }
    }

    /// What tells a point's numbers when it is pointed at.
    fn draw_hints(&self, line: &Line, text: &mut String) {
        for (x, y) in &line.points {
            let _ = write!(
                text,
                "<circle class=\"hint\" cx=\"{:.1}\" cy=\"{:.1}\" r=\"7\"><title>{}: {} at {}</title></circle>",
                self.x_of(*x),
                self.y_of(*y),
                Escaped(&line.name),
                quantity(&(self.y.written)(*y)),
                quantity(&(self.x.written)(*x)),
            );
        }
        text.push('\n');
    }

    fn x_of(&self, value: f64) -> f64 {
        LEFT + self.x.scale.place(value) * (WIDTH - LEFT - RIGHT)
    }

    fn y_of(&self, value: f64) -> f64 {
        HEIGHT - BOTTOM - self.y.scale.place(value) * (HEIGHT - TOP - BOTTOM)
    }
}

/// Without the zeros behind the point that a round number does not need.
fn trimmed(number: &str) -> String {
    let (digits, unit) = number
        .split_once(' ')
        .map_or((number, ""), |(digits, unit)| (digits, unit));
    let digits = if digits.contains('.') && !digits.contains('e') {
        digits.trim_end_matches('0').trim_end_matches('.')
    } else {
        digits
    };
    format!("{digits} {unit}").trim_end().to_owned()
}
