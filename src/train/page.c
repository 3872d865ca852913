/* See page.h. */
#include "train/page.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const char style[] =
    ":root{color-scheme:light dark;--back:#fff;--text:#1d2126;--mute:#667080;--line:#e2e5ea;"
    "--card:#f6f7f9;--c0:#2563c9;--c1:#d2601a;--c2:#1f8a5b;--c3:#8a46c2;--c4:#c0305a;--c5:#6f7d00;"
    "--c6:#0a8a99;--c7:#8a5a2b}\n"
    "@media(prefers-color-scheme:dark){:root{--back:#15181c;--text:#e4e7eb;--mute:#98a2b0;"
    "--line:#2d333b;--card:#1c2026;--c0:#6ea3f5;--c1:#f09055;--c2:#54c795;--c3:#c08df0;"
    "--c4:#f07a9b;--c5:#c3d046;--c6:#4fc6d4;--c7:#cf9f6c}}\n"
    "*{box-sizing:border-box}body{margin:0 auto;max-width:1240px;padding:28px 24px 60px;"
    "background:var(--back);color:var(--text);"
    "font:15px/1.5 system-ui,-apple-system,\"Segoe UI\",\"Helvetica Neue\",Arial,sans-serif}\n"
    "h1{font-size:26px;line-height:1.2;margin:0}h2{font-size:18px;margin:38px 0 12px}"
    ".sub{color:var(--mute);margin:4px 0 20px;overflow-wrap:anywhere}\n"
    ".tiles{display:grid;grid-template-columns:repeat(auto-fill,minmax(138px,1fr));gap:10px}"
    ".tile{background:var(--card);border:1px solid var(--line);border-radius:8px;padding:9px 12px}"
    ".tile b{display:block;font-size:19px;font-weight:600;font-variant-numeric:tabular-nums}"
    ".tile{overflow-wrap:anywhere}.tile span{color:var(--mute);font-size:13px}\n"
    ".plots{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,460px),1fr));"
    "gap:22px 28px}figure{margin:0;break-inside:avoid}figcaption{font-size:14px;margin-bottom:2px}"
    "svg{display:block;width:100%;height:auto;overflow:visible}svg svg{overflow:hidden}\n"
    ".grid{stroke:var(--line)}.axis{stroke:var(--mute)}"
    ".tick{fill:var(--mute);font-size:12px;font-variant-numeric:tabular-nums}"
    ".series{fill:none;stroke:currentColor;stroke-width:1.8;stroke-linejoin:round}"
    ".faint{stroke-width:1;opacity:.3}.mark{fill:currentColor;stroke:var(--back)}\n"
    ".c0{color:var(--c0)}.c1{color:var(--c1)}.c2{color:var(--c2)}.c3{color:var(--c3)}"
    ".c4{color:var(--c4)}.c5{color:var(--c5)}.c6{color:var(--c6)}.c7{color:var(--c7)}"
    ".key{margin-left:12px;white-space:nowrap}.key:before{content:\"\";display:inline-block;"
    "width:14px;height:3px;border-radius:2px;margin-right:5px;vertical-align:middle;"
    "background:currentColor}\n"
    "table{border-collapse:collapse;font-variant-numeric:tabular-nums;font-size:14px}"
    "th,td{text-align:right;padding:4px 14px 4px 0;border-bottom:1px solid var(--line)}"
    "th{color:var(--mute);font-weight:500}th:first-child,td:first-child{text-align:left}"
    ".wide{overflow-x:auto}.bar{display:inline-block;width:90px;height:8px;margin-left:10px;"
    "background:var(--line);border-radius:4px;overflow:hidden;vertical-align:middle}"
    ".bar i{display:block;height:100%;background:var(--c0)}\n"
    "details{border:1px solid var(--line);border-radius:8px;margin:10px 0;background:var(--card)}"
    "summary{padding:8px 12px;cursor:pointer;font-weight:500}"
    "pre,.said{margin:0;padding:10px 12px;white-space:pre-wrap;overflow-wrap:anywhere;"
    "font:13px/1.45 ui-monospace,SFMono-Regular,Menlo,Consolas,\"DejaVu Sans Mono\",monospace}"
    "details>pre{border-top:1px solid var(--line)}\n"
    ".sample{border-left:3px solid var(--line);margin:0 0 18px;padding:0 0 0 12px;"
    "break-inside:avoid}.asked{font-weight:500;white-space:pre-wrap;overflow-wrap:anywhere}"
    ".said{padding:4px 0}.thought{color:var(--mute);font-style:italic}"
    ".note{color:var(--mute);font-size:13px}\n"
    "@media print{:root{--back:#fff;--text:#000;--mute:#444;--line:#ccc;--card:#fff;"
    "--c0:#1d4fa3;--c1:#b04e12;--c2:#17704a;--c3:#6f349f;--c4:#9c2447;--c5:#5a6500;--c6:#087280;"
    "--c7:#6f4720;color-scheme:light}body{max-width:none;padding:0;font-size:11pt}"
    ".plots{grid-template-columns:1fr 1fr}h2{break-after:avoid}}\n";

void page_escape(Buf *html, Str text)
{
    for (size_t i = 0; i < text.bytes; i++) {
        const char c = text.data[i];
        if (c == '&')
            buf_puts(html, "&amp;");
        else if (c == '<')
            buf_puts(html, "&lt;");
        else if (c == '>')
            buf_puts(html, "&gt;");
        else if (c == '"')
            buf_puts(html, "&quot;");
        else if ((unsigned char)c >= ' ' || c == '\n' || c == '\t')
            buf_putc(html, c);
        else
            buf_puts(html, "\xef\xbf\xbd");
    }
}

static void put_element(Buf *html, const char *open, const char *text, const char *close)
{
    buf_puts(html, open);
    page_escape(html, str_from(text));
    buf_puts(html, close);
}

void page_begin(Buf *html, const char *title, const char *subtitle)
{
    put_element(html,
                "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
                "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\"><title>",
                title, "</title>\n<style>\n");
    buf_puts(html, style);
    put_element(html, "</style></head><body>\n<h1>", title, "</h1>\n");
    if (subtitle)
        put_element(html, "<p class=\"sub\">", subtitle, "</p>\n");
}

void page_end(Buf *html) { buf_puts(html, "</body></html>\n"); }

void page_heading(Buf *html, const char *text) { put_element(html, "<h2>", text, "</h2>\n"); }

void page_tiles_begin(Buf *html) { buf_puts(html, "<div class=\"tiles\">"); }

void page_tile(Buf *html, const char *name, const char *value)
{
    put_element(html, "<div class=\"tile\"><b>", value, "</b>");
    put_element(html, "<span>", name, "</span></div>\n");
}

void page_tiles_end(Buf *html) { buf_puts(html, "</div>\n"); }

void page_text_block(Buf *html, const char *summary, Str text, bool is_open)
{
    put_element(html, is_open ? "<details open><summary>" : "<details><summary>", summary,
                "</summary><pre>");
    page_escape(html, text);
    buf_puts(html, "</pre></details>\n");
}

/* Takes zeros off the end of digits behind a point: "1.50" -> "1.5", "2e-04" stays. */
static void trim_zeros(char *text)
{
    size_t n = strlen(text);
    if (!strchr(text, '.'))
        return;
    while (text[n - 1] == '0')
        text[--n] = 0;
    if (text[n - 1] == '.')
        text[n - 1] = 0;
}

void page_number(double value, char text[32])
{
    static const struct {
        double unit;
        const char *letter;
    } units[] = {{1e12, "T"}, {1e9, "G"}, {1e6, "M"}, {1e3, "k"}};
    const double size = fabs(value);
    if (size != 0 && size < 1e-3) {
        const double power = floor(log10(size) + 1e-9);
        char digits[24];
        snprintf(digits, sizeof digits, "%.2f", value / pow(10, power));
        trim_zeros(digits);
        snprintf(text, 32, "%se%d", digits, (int)power);
        return;
    }
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (size >= units[i].unit * (1 - 1e-9) && (size >= 1e4 || units[i].unit > 1e3)) {
            char digits[24];
            snprintf(digits, sizeof digits, size < 100 * units[i].unit ? "%.2f" : "%.0f",
                     value / units[i].unit);
            trim_zeros(digits);
            snprintf(text, 32, "%s%s", digits, units[i].letter);
            return;
        }
    snprintf(text, 32, size < 1 ? "%.4f" : size < 100 ? "%.3f" : "%.1f", value);
    trim_zeros(text);
}
