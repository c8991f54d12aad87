//! Pages of text in one font, of which the file has only the letters that are used.

use std::collections::BTreeMap;
use std::ops::Range;

use chrono::{Datelike, NaiveDate};
use pdf_writer::types::{CidFontType, FontFlags, SystemInfo, UnicodeCmap};
use pdf_writer::{Content, Date, Finish, Name, Pdf, Rect, Ref, Str, TextStr};
use subsetter::GlyphRemapper;
use ttf_parser::{Face, GlyphId};

use super::language::DocumentLanguage;
use super::{arabic, direction};

/// DejaVu Sans: Latin, Greek, Cyrillic and more. Its licence is beside it.
static FONT: &[u8] = include_bytes!("../../fonts/DejaVuSans.ttf");

/// A4, in points.
const WIDTH: f32 = 595.28;
const HEIGHT: f32 = 841.89;
pub(super) const MARGIN: f32 = 56.0;
/// Where lines end.
pub(super) const RIGHT: f32 = WIDTH - MARGIN;
/// Below this is the footer.
const BOTTOM: f32 = HEIGHT - 70.0;
const FOOTER: f32 = HEIGHT - 40.0;
/// What the footer leaves to the number of the page.
const PAGE_NUMBER_WIDTH: f32 = 90.0;
/// The distance of lines, by the size of the text.
const LEADING: f32 = 1.4;

const FONT_NAME: Name<'static> = Name(b"F1");
/// A subset bears a tag before its name.
const SUBSET_NAME: Name<'static> = Name(b"ORDOAA+DejaVuSans");
const IDENTITY: SystemInfo<'static> = SystemInfo { registry: Str(b"Adobe"), ordering: Str(b"Identity"), supplement: 0 };

const CATALOG: Ref = Ref::new(1);
const PAGE_TREE: Ref = Ref::new(2);
const INFO: Ref = Ref::new(3);
const TYPE0_FONT: Ref = Ref::new(4);
const CID_FONT: Ref = Ref::new(5);
const DESCRIPTOR: Ref = Ref::new(6);
const FONT_FILE: Ref = Ref::new(7);
const UNICODE: Ref = Ref::new(8);
const FIRST_PAGE: i32 = 9;

/// Why there is no file. Both are mistakes of the build.
#[derive(Debug, thiserror::Error)]
pub enum PdfError {
    #[error("the font can't be read")]
    Font(#[source] ttf_parser::FaceParsingError),
    #[error("the letters that are used can't be taken out of the font: {0}")]
    Subset(subsetter::Error),
}

/// Pages that are being filled from top to bottom. All measures are points.
pub(super) struct Pages {
    pub(super) language: &'static DocumentLanguage,
    face: Face<'static>,
    footer: String,
    pages: Vec<Page>,
    /// The line that is being written, from the top of the page.
    y: f32,
}

#[derive(Default)]
struct Page {
    texts: Vec<PlacedText>,
    /// Lines from margin to margin, by their distance from the top.
    rules: Vec<f32>,
}

struct PlacedText {
    x: f32,
    y: f32,
    size: f32,
    text: String,
}

impl Pages {
    pub(super) fn new(language: &'static DocumentLanguage, footer: String) -> Result<Self, PdfError> {
        let face = Face::parse(FONT, 0).map_err(PdfError::Font)?;
        Ok(Self { language, face, footer, pages: vec![Page::default()], y: MARGIN })
    }

    /// Text over the whole width.
    pub(super) fn paragraph(&mut self, size: f32, text: &str) {
        for line in self.wrapped(size, text, RIGHT - MARGIN) {
            self.turn_for(size * LEADING);
            self.left(size, &line);
            self.next_line(size);
        }
    }

    /// Text that begins at the margin, on the present line.
    pub(super) fn left(&mut self, size: f32, text: &str) {
        self.place(MARGIN, self.y, size, text);
    }

    /// Text that ends at `x`, on the present line.
    pub(super) fn right(&mut self, size: f32, x: f32, text: &str) {
        let x = x - self.width(size, text);
        self.place(x, self.y, size, text);
    }

    pub(super) fn next_line(&mut self, size: f32) {
        self.y += size * LEADING;
    }

    pub(super) fn space(&mut self, height: f32) {
        self.y += height;
    }

    /// A line from margin to margin, and some room below.
    pub(super) fn rule(&mut self) {
        let y = self.y - 6.0;
        if let Some(page) = self.pages.last_mut() {
            page.rules.push(y);
        }
        self.y += 8.0;
    }

    /// Goes on with a new page if this one has no room of that height. Says whether it did.
    pub(super) fn turn_for(&mut self, height: f32) -> bool {
        let is_full = self.y + height > BOTTOM;
        if is_full {
            self.pages.push(Page::default());
            self.y = MARGIN;
        }
        is_full
    }

    /// Text in lines of at most that width, each as it is painted from left to right. What has no space to break at is broken anywhere.
    pub(super) fn wrapped(&self, size: f32, text: &str, width: f32) -> Vec<String> {
        let text = arabic::joined(&direction::paragraph(text), |char| self.face.glyph_index(char).is_some());
        direction::as_painted(&text, &self.broken(size, &text, width))
    }

    /// The lines of a text.
    fn broken(&self, size: f32, text: &str, width: f32) -> Vec<Range<usize>> {
        let mut lines = Vec::new();
        let (mut line, mut line_width, mut end) = (0, 0.0, 0);
        for word in text.split_inclusive(char::is_whitespace) {
            let begin = end;
            end += word.len();
            if begin > line && line_width + self.width(size, word.trim_end()) > width {
                lines.push(line..begin);
                (line, line_width) = (begin, 0.0);
            }
            for (at, char) in word.char_indices().map(|(at, char)| (begin + at, char)) {
                let advance = self.advance(char) * size;
                if at > line && line_width + advance > width && !char.is_whitespace() {
                    lines.push(line..at);
                    (line, line_width) = (at, 0.0);
                }
                line_width += advance;
            }
        }
        lines.push(line..text.len());
        lines
    }

    fn width(&self, size: f32, text: &str) -> f32 {
        text.chars().map(|char| self.advance(char)).sum::<f32>() * size
    }

    /// How wide a letter is at size 1.
    fn advance(&self, char: char) -> f32 {
        self.advance_of(self.glyph(char))
    }

    fn advance_of(&self, glyph: GlyphId) -> f32 {
        f32::from(self.face.glyph_hor_advance(glyph).unwrap_or(0)) / f32::from(self.face.units_per_em())
    }

    /// The font's letter; a box for one that it does not have.
    fn glyph(&self, char: char) -> GlyphId {
        self.face.glyph_index(char).unwrap_or(GlyphId(0))
    }

    fn place(&mut self, x: f32, y: f32, size: f32, text: &str) {
        let shown = |char: char| if char.is_control() { ' ' } else { char };
        let text: String = text.trim_end().chars().map(shown).collect();
        if let Some(page) = self.pages.last_mut() {
            page.texts.push(PlacedText { x, y, size, text });
        }
    }

    /// The file. Its dates are that day.
    pub(super) fn finish(self, title: &str, day: NaiveDate) -> Result<Vec<u8>, PdfError> {
        let mut glyphs = GlyphRemapper::new();
        // The letter of each glyph, so that text can be copied and searched.
        let mut letters: BTreeMap<u16, char> = BTreeMap::new();
        let contents: Vec<_> =
            self.pages.iter().map(|page| self.content(page, &mut glyphs, &mut letters).finish()).collect();
        let subset = subsetter::subset(FONT, 0, &glyphs).map_err(PdfError::Subset)?;

        let mut pdf = Pdf::new();
        let page_ids = (0..).map(|nth: i32| Ref::new(FIRST_PAGE + 2 * nth)).take(contents.len());
        let count = i32::try_from(contents.len()).unwrap_or(i32::MAX);
        pdf.catalog(CATALOG).pages(PAGE_TREE).lang(TextStr(self.language.tag));
        pdf.pages(PAGE_TREE).kids(page_ids.clone()).count(count);
        let year = u16::try_from(day.year()).unwrap_or(0);
        let (month, day_of_month) = (u8::try_from(day.month()).unwrap_or(1), u8::try_from(day.day()).unwrap_or(1));
        let issued = Date::new(year).month(month).day(day_of_month);
        pdf.document_info(INFO).title(TextStr(title)).producer(TextStr("Ordo")).creation_date(issued);
        for (id, content) in page_ids.zip(&contents) {
            let content_id = id.next();
            let mut page = pdf.page(id);
            page.media_box(Rect::new(0.0, 0.0, WIDTH, HEIGHT)).parent(PAGE_TREE).contents(content_id);
            page.resources().fonts().pair(FONT_NAME, TYPE0_FONT);
            page.finish();
            pdf.stream(content_id, content);
        }
        self.write_font(&mut pdf, &glyphs, &letters, &subset);
        Ok(pdf.finish())
    }

    /// Who sells, and which page it is, below each page.
    pub(super) fn write_footers(&mut self) {
        let count = self.pages.len();
        let footer = self.wrapped(7.5, &self.footer, RIGHT - MARGIN - PAGE_NUMBER_WIDTH).swap_remove(0);
        let texts: Vec<(f32, String)> = (1..=count)
            .map(|nth| self.language.page(nth, count))
            .map(|text| (RIGHT - self.width(7.5, &text), text))
            .collect();
        for (page, (x, text)) in self.pages.iter_mut().zip(texts) {
            page.texts.push(PlacedText { x: MARGIN, y: FOOTER, size: 7.5, text: footer.clone() });
            page.texts.push(PlacedText { x, y: FOOTER, size: 7.5, text });
        }
    }

    fn content(&self, page: &Page, glyphs: &mut GlyphRemapper, letters: &mut BTreeMap<u16, char>) -> Content {
        let mut content = Content::new();
        content.set_line_width(0.5);
        for rule in &page.rules {
            content.move_to(MARGIN, HEIGHT - rule).line_to(RIGHT, HEIGHT - rule).stroke();
        }
        for PlacedText { x, y, size, text } in &page.texts {
            let mut codes = Vec::with_capacity(text.len() * 2);
            for char in text.chars() {
                let glyph = glyphs.remap(self.glyph(char).0);
                // A box stands for any letter.
                if glyph != 0 {
                    letters.entry(glyph).or_insert(char);
                }
                codes.extend(glyph.to_be_bytes());
            }
            content.begin_text().set_font(FONT_NAME, *size).next_line(*x, HEIGHT - y).show(Str(&codes)).end_text();
        }
        content
    }

    fn write_font(&self, pdf: &mut Pdf, glyphs: &GlyphRemapper, letters: &BTreeMap<u16, char>, subset: &[u8]) {
        let thousandths = |units: i16| f32::from(units) * 1_000.0 / f32::from(self.face.units_per_em());
        pdf.type0_font(TYPE0_FONT)
            .base_font(SUBSET_NAME)
            .encoding_predefined(Name(b"Identity-H"))
            .descendant_font(CID_FONT)
            .to_unicode(UNICODE);
        let mut font = pdf.cid_font(CID_FONT);
        font.subtype(CidFontType::Type2).base_font(SUBSET_NAME).system_info(IDENTITY).font_descriptor(DESCRIPTOR);
        font.cid_to_gid_map_predefined(Name(b"Identity")).default_width(0.0);
        font.widths().consecutive(0, glyphs.remapped_gids().map(|glyph| self.advance_of(GlyphId(glyph)) * 1_000.0));
        font.finish();
        let bounds = self.face.global_bounding_box();
        let [left, bottom, right, top] = [bounds.x_min, bounds.y_min, bounds.x_max, bounds.y_max].map(thousandths);
        pdf.font_descriptor(DESCRIPTOR)
            .name(SUBSET_NAME)
            .flags(FontFlags::NON_SYMBOLIC)
            .bbox(Rect::new(left, bottom, right, top))
            .italic_angle(0.0)
            .ascent(thousandths(self.face.ascender()))
            .descent(thousandths(self.face.descender()))
            .cap_height(thousandths(self.face.capital_height().unwrap_or(0)))
            .stem_v(80.0)
            .font_file2(FONT_FILE);
        let length = i32::try_from(subset.len()).unwrap_or(i32::MAX);
        pdf.stream(FONT_FILE, subset).pair(Name(b"Length1"), length);
        let mut unicode = UnicodeCmap::new(Name(b"Ordo"), IDENTITY);
        letters.iter().for_each(|(glyph, form)| unicode.pair_with_multiple(*glyph, arabic::letters_of(*form)));
        pdf.cmap(UNICODE, &unicode.finish());
    }

    /// All texts.
    #[cfg(test)]
    pub(super) fn texts(&self) -> Vec<String> {
        self.pages.iter().flat_map(|page| &page.texts).map(|it| it.text.clone()).collect()
    }

    /// Texts that stand over others of their line, or over a margin.
    #[cfg(test)]
    pub(super) fn misplaced(&self) -> Vec<String> {
        let mut misplaced = Vec::new();
        for page in &self.pages {
            let mut spans: Vec<(i64, f32, f32, &str)> = page
                .texts
                .iter()
                .filter(|it| !it.text.is_empty())
                .map(|it| ((it.y * 10.0) as i64, it.x, it.x + self.width(it.size, &it.text), it.text.as_str()))
                .collect();
            spans.sort_by(|one, other| (one.0, one.1).partial_cmp(&(other.0, other.1)).unwrap());
            let over_a_margin = spans.iter().filter(|(_, from, until, _)| *from < MARGIN - 0.1 || *until > RIGHT + 0.1);
            misplaced.extend(over_a_margin.map(|(.., text)| (*text).to_owned()));
            for pair in spans.windows(2) {
                if pair[0].0 == pair[1].0 && pair[0].2 > pair[1].1 {
                    misplaced.push(format!("{} | {}", pair[0].3, pair[1].3));
                }
            }
        }
        misplaced
    }
}
