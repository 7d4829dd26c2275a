#!/usr/bin/env python3
"""Writes the documents that tests of src/ingest read: PDF, DOCX, PPTX, EPUB, by hand, byte for byte the same each time.

    tools/make_extract_fixtures.py [FOLDER]     (default: tests/golden/documents)

Only the standard library is used. Each file is as small as one that shows the feature can be.
"""

import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


# --- PDF ----------------------------------------------------------------------------------------------------

def pdf(objects, info=None, encrypt=None):
    """A file of numbered objects (bytes), the first of which is the catalogue."""
    out, offsets = b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n", []
    for number, body in enumerate(objects, 1):
        offsets.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    at = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    out += b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    out += b"trailer\n<< /Size %d /Root 1 0 R" % (len(objects) + 1)
    if info:
        out += b" /Info %d 0 R" % info
    if encrypt:
        out += b" /Encrypt %d 0 R /ID [<00112233445566778899aabbccddeeff> <00112233445566778899aabbccddeeff>]" % encrypt
    return out + b" >>\nstartxref\n%d\n%%%%EOF\n" % at


def stream(data):
    return b"<< /Length %d >>\nstream\n%s\nendstream" % (len(data), data)


def page_text(lines):
    """Lines of text from the top of the page; None leaves a gap, as between paragraphs."""
    out, y = b"BT /F1 12 Tf\n", 780
    for line in lines:
        if line is not None:
            out += b"1 0 0 1 72 %d Tm (%s) Tj\n" % (y, line.encode("latin-1"))
        y -= 14
    return stream(out + b"ET")


FONT = b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>"


def pages(texts):
    """Catalogue, page tree, font, then a page and its content for each of texts."""
    kids = b" ".join(b"%d 0 R" % (4 + 2 * i) for i in range(len(texts)))
    objects = [b"<< /Type /Catalog /Pages 2 0 R >>", b"<< /Type /Pages /Kids [%s] /Count %d >>" % (kids, len(texts)), FONT]
    for i, lines in enumerate(texts):
        objects.append(b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents %d 0 R "
                       b"/Resources << /Font << /F1 3 0 R >> >> >>" % (5 + 2 * i))
        objects.append(page_text(lines))
    return objects


def make_pdf():
    first = ["Weaving and looms", None, "A heddle guides the threads of the warp. It is an in-", "strument of wire or cord,",
             "with an eye in its middle.", None, None, "The second paragraph of the page, na\xefve & <plain>."]
    objects = pages([first, ["The second page."], []])
    objects.append(b"<< /Title (Looms & <heddles>) /Author (Ann Weaver) /CreationDate (D:20240517083015+02'00') >>")
    return pdf(objects, info=len(objects))


def make_encrypted_pdf():
    """Its password is not empty: nothing can be read from it without."""
    objects = pages([["secret"]])
    objects.append(b"<< /Filter /Standard /V 1 /R 2 /P -44 /O <%s> /U <%s> >>" % (b"41" * 32, b"42" * 32))
    return pdf(objects, encrypt=len(objects))


# --- zip and XML --------------------------------------------------------------------------------------------

def archive(path, entries, stored=()):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as out:
        for name, text in entries:
            info = zipfile.ZipInfo(name, (2024, 5, 17, 8, 30, 0))
            info.compress_type = zipfile.ZIP_STORED if name in stored else zipfile.ZIP_DEFLATED
            info.create_system = 3
            out.writestr(info, text)


XML = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
RELATIONS = "http://schemas.openxmlformats.org/package/2006/relationships"
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
CORE = (XML + '<cp:coreProperties xmlns:cp="http://schemas.openxmlformats.org/package/2006/metadata/core-properties" '
        'xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:dcterms="http://purl.org/dc/terms/" '
        'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><dc:title>{title}</dc:title><dc:creator>Ann Weaver</dc:creator>'
        '<cp:keywords>warp, weft</cp:keywords>'
        '<dcterms:created xsi:type="dcterms:W3CDTF">2024-05-17T08:30:00Z</dcterms:created></cp:coreProperties>')


def relations(*targets):
    rows = "".join(f'<Relationship Id="{i}" Type="{kind}" Target="{target}"/>' for i, kind, target in targets)
    return f'{XML}<Relationships xmlns="{RELATIONS}">{rows}</Relationships>'


def w_p(text, style=None, numbered=None, extra=""):
    properties = (f'<w:pStyle w:val="{style}"/>' if style else "") + \
        (f'<w:numPr><w:ilvl w:val="{numbered}"/><w:numId w:val="1"/></w:numPr>' if numbered is not None else "")
    return f"<w:p><w:pPr>{properties}</w:pPr><w:r><w:t xml:space=\"preserve\">{text}</w:t></w:r>{extra}</w:p>"


def w_row(*cells):
    return "<w:tr>" + "".join(f"<w:tc>{w_p(cell)}</w:tc>" for cell in cells) + "</w:tr>"


W = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
MC = 'xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006"'


def make_docx(path):
    body = (w_p("The Loom", "Titel") + w_p("Parts", "berschrift1") +
            "<w:p><w:pPr><w:tabs><w:tab w:val=\"left\"/></w:tabs></w:pPr><w:r><w:t>A heddle</w:t></w:r>"
            "<w:r><w:tab/><w:t>guides</w:t><w:br/><w:t>the warp.</w:t></w:r><w:r><w:footnoteReference w:id=\"2\"/></w:r>"
            "<w:del><w:r><w:delText>gone</w:delText></w:r></w:del>"
            "<w:ins><w:r><w:t xml:space=\"preserve\"> Added.</w:t></w:r></w:ins></w:p>" +
            w_p("wire &amp; cord", numbered=0) + w_p("an eye", numbered=1) + w_p("Use", "Deep") +
            "<w:tbl>" + w_row("part", "made of") + w_row("heddle", "wire") + w_row("", "") + "</w:tbl>" +
            "<w:p><w:r><mc:AlternateContent><mc:Choice><w:txbxContent><w:p><w:r><w:t>boxed</w:t></w:r></w:p></w:txbxContent>"
            "</mc:Choice><mc:Fallback><w:t>boxed again</w:t></mc:Fallback></mc:AlternateContent></w:r></w:p>" + w_p("Last."))
    styles = (f'{XML}<w:styles {W}>'
              '<w:style w:type="paragraph" w:styleId="Titel"><w:name w:val="Title"/></w:style>'
              '<w:style w:type="paragraph" w:styleId="berschrift1"><w:name w:val="heading 1"/></w:style>'
              '<w:style w:type="paragraph" w:styleId="Base"><w:name w:val="Own"/><w:pPr><w:outlineLvl w:val="1"/></w:pPr></w:style>'
              '<w:style w:type="paragraph" w:styleId="Deep"><w:name w:val="Own 2"/><w:basedOn w:val="Base"/></w:style>'
              '</w:styles>')
    notes = (f'{XML}<w:footnotes {W}><w:footnote w:type="separator" w:id="0"><w:p/></w:footnote>'
             f'<w:footnote w:id="2">{w_p("See the second chapter.")}</w:footnote></w:footnotes>')
    archive(path, [
        ("[Content_Types].xml", f'{XML}<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"/>'),
        ("_rels/.rels", relations(("r1", OFFICE + "/officeDocument", "word/document.xml"))),
        ("word/document.xml", f"{XML}<w:document {W} {MC}><w:body>{body}</w:body></w:document>"),
        ("word/_rels/document.xml.rels", relations(("r1", OFFICE + "/styles", "styles.xml"),
                                                   ("r2", OFFICE + "/footnotes", "footnotes.xml"),
                                                   ("r3", OFFICE + "/hyperlink", "http://x/"))),
        ("word/styles.xml", styles),
        ("word/footnotes.xml", notes),
        ("docProps/core.xml", CORE.format(title="Looms")),
    ])


def a_p(*texts):
    return "<a:p>" + "".join(f"<a:r><a:t>{text}</a:t></a:r>" for text in texts) + "</a:p>"


def shape(paragraphs, placeholder=""):
    kind = f'<p:nvPr><p:ph type="{placeholder}"/></p:nvPr>' if placeholder else "<p:nvPr/>"
    return f"<p:sp><p:nvSpPr>{kind}</p:nvSpPr><p:txBody>{paragraphs}</p:txBody></p:sp>"


P = ('xmlns:p="http://schemas.openxmlformats.org/presentationml/2006/main" '
     'xmlns:a="http://schemas.openxmlformats.org/drawingml/2006/main" '
     f'xmlns:r="{OFFICE}"')


def slide(content):
    return f"{XML}<p:sld {P}><p:cSld><p:spTree>{content}</p:spTree></p:cSld></p:sld>"


def make_pptx(path):
    table = ("<p:graphicFrame><a:tbl><a:tr><a:tc><a:txBody>" + a_p("part") + "</a:txBody></a:tc><a:tc><a:txBody>" + a_p("of") +
             "</a:txBody></a:tc></a:tr></a:tbl></p:graphicFrame>")
    number = shape("<a:p><a:fld type=\"slidenum\"><a:t>2</a:t></a:fld></a:p>", "sldNum")
    archive(path, [
        ("[Content_Types].xml", f'{XML}<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"/>'),
        ("_rels/.rels", relations(("r1", OFFICE + "/officeDocument", "/ppt/presentation.xml"))),
        ("ppt/presentation.xml", f'{XML}<p:presentation {P}><p:sldIdLst><p:sldId id="256" r:id="r8"/><p:sldId id="257" r:id="r7"/>'
                                 '</p:sldIdLst></p:presentation>'),
        ("ppt/_rels/presentation.xml.rels", relations(("r7", OFFICE + "/slide", "slides/slide1.xml"),
                                                      ("r8", OFFICE + "/slide", "slides/slide2.xml"))),
        ("ppt/slides/slide1.xml", slide(shape(a_p("Use"), "title") + table + number)),
        ("ppt/slides/slide2.xml", slide(shape(a_p("The ", "Loom"), "ctrTitle") + shape(a_p("wire") + a_p("cord")))),
        ("ppt/slides/_rels/slide2.xml.rels", relations(("r1", OFFICE + "/notesSlide", "../notesSlides/notesSlide1.xml"))),
        ("ppt/notesSlides/notesSlide1.xml", f"{XML}<p:notes {P}>{shape(a_p('Say hello.'), 'body')}</p:notes>"),
        ("docProps/core.xml", CORE.format(title="Slides of looms")),
    ])


def make_epub(path):
    chapter = ('<?xml version="1.0" encoding="utf-8"?>\n<!DOCTYPE html>\n<html xmlns="http://www.w3.org/1999/xhtml">'
               "<head><title>{0}</title></head><body><section><h1>{0}</h1>{1}</section></body></html>")
    package = ('<?xml version="1.0"?>\n<package xmlns="http://www.idpf.org/2007/opf" version="3.0">'
               '<metadata xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title>The Book of Looms</dc:title>'
               "<dc:creator>Ann Weaver</dc:creator><dc:creator>Bob Warp</dc:creator><dc:language>en</dc:language>"
               "<dc:date>2024-05-17</dc:date></metadata><manifest>"
               '<item id="nav" href="nav.xhtml" media-type="application/xhtml+xml" properties="nav"/>'
               '<item id="b" href="text/two%20b.xhtml" media-type="application/xhtml+xml"/>'
               '<item id="a" href="text/one.xhtml" media-type="application/xhtml+xml"/>'
               '<item id="i" href="x.png" media-type="image/png"/></manifest>'
               '<spine><itemref idref="nav"/><itemref idref="a"/><itemref idref="b"/><itemref idref="i"/></spine></package>')
    archive(path, [
        ("mimetype", "application/epub+zip"),
        ("META-INF/container.xml", '<?xml version="1.0"?>\n<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container">'
                                   '<rootfiles><rootfile full-path="OEBPS/content.opf"/></rootfiles></container>'),
        ("OEBPS/content.opf", package),
        ("OEBPS/nav.xhtml", chapter.format("Contents", "<nav><ol><li>One</li></ol></nav>")),
        ("OEBPS/text/one.xhtml", chapter.format("One", "<p>The warp\nis held.</p><ul><li>a</li></ul>")),
        ("OEBPS/text/two b.xhtml", chapter.format("Two", "<p>The weft &amp;&nbsp;more.</p>")),
    ], stored=("mimetype",))


def main():
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "tests" / "golden" / "documents"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "text.pdf").write_bytes(make_pdf())
    (folder / "encrypted.pdf").write_bytes(make_encrypted_pdf())
    (folder / "scanned.pdf").write_bytes(pdf(pages([[]])))
    make_docx(folder / "report.docx")
    make_pptx(folder / "slides.pptx")
    make_epub(folder / "book.epub")


if __name__ == "__main__":
    main()
