/* text/pretokenize, regex_split, char_table, nfc: the hand-written rule against the expression it
 * stands for, normalization against the library's. */
#include "support.h"

#include "base/mem.h"
#include "base/rng.h"
#include "base/utf8.h"
#include "text/nfc.h"
#include "text/pretokenize.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

static CharTable table;

static int open_table(void **state)
{
    (void)state;
    Error err = {0};
    return char_table_open(&table, &err) ? 0 : -1;
}

static int close_table(void **state)
{
    (void)state;
    char_table_close(&table);
    return 0;
}

/* Pieces, each closed by '|'. */
static bool collect(void *context, Str piece, Error *err)
{
    (void)err;
    assert_true(piece.bytes > 0);
    buf_add(context, piece);
    buf_putc(context, '|');
    return true;
}

static Buf split(const Pretokenizer *p, Str text)
{
    Error err = {0};
    Buf out = {0};
    assert_ok(pretokenizer_split(p, text, collect, &out, &err));
    return out;
}

static Pretokenizer *open_regex(const char *regex)
{
    Error err = {0};
    Str one = str_from(regex);
    Pretokenizer *p = pretokenizer_open(&table, &one, 1, &err);
    if (!p)
        fail_msg("%s", err.message);
    return p;
}

static void assert_split(const Pretokenizer *p, Str text, const char *expected)
{
    Buf out = split(p, text);
    assert_string_equal(buf_str(&out).data, expected);
    buf_free(&out);
}

static void qwen_rules_by_example(void **state)
{
    (void)state;
    Pretokenizer *p = open_regex(QWEN_REGEX);
    assert_true(pretokenizer_is_qwen(p));
    assert_split(p, STR(""), "");
    assert_split(p, STR("Hello world"), "Hello| world|");
    assert_split(p, STR("I'm you'LL they've 'til 's'"), "I|'m| you|'LL| they|'ve| '|til| '|s|'|");
    assert_split(p, STR("x'\xC5\xBFy"), "x|'\xC5\xBF|y|");
    assert_split(p, STR("2024 10"), "2|0|2|4| |1|0|");
    assert_split(p, STR("a.b(c)"), "a|.b|(c|)|");
    assert_split(p, STR(" !!\r\n\nx"), " !!\r\n\n|x|");
    assert_split(p, STR("a   b"), "a|  | b|");
    assert_split(p, STR("a \n \n  b"), "a| \n \n| | b|");
    assert_split(p, STR("a  "), "a|  |");
    assert_split(p, STR("\t\tx"), "\t|\tx|");
    assert_split(p, STR("\nx"), "\n|x|");
    assert_split(p, STR("\x1cx \x1c"), "\x1cx| \x1c|"); /* U+001C is not white space */
    assert_split(p, STR("e\xCC\x81"), "e|\xCC\x81|");   /* a mark is not a letter */
    assert_split(p, STR("\xE4\xB8\xAD\xE6\x96\x87\xEF\xBC\x8C\xE5\xA5\xBD"),
                 "\xE4\xB8\xAD\xE6\x96\x87|\xEF\xBC\x8C\xE5\xA5\xBD|");
    assert_split(p, STR("\xE3\x80\x80\xE3\x80\x80x"), "\xE3\x80\x80|\xE3\x80\x80x|");
    pretokenizer_close(p);
}

/* Characters that the rules care about, and some of every kind that they do not. */
static uint32_t random_char(Rng *rng)
{
    static const uint32_t of_interest[] = {
        '\'',   '\'',   's',    'S',     't',     'r',     'e',      'v',     'm',
        'l',    'L',    'd',    0x17F,   0x212A,  ' ',     ' ',      ' ',     '\n',
        '\r',   '\t',   0x0B,   0x0C,    0x1C,    0x1F,    0x85,     0xA0,    0x1680,
        0x180E, 0x2000, 0x200A, 0x200B,  0x2028,  0x2029,  0x202F,   0x205F,  0x3000,
        0xFEFF, '1',    0x0663, 0xBD,    0x2167,  0x3007,  '.',      '_',     '(',
        0x301,  0x323,  0x93C,  0x94D,   0x9BE,   0x1161,  0x11A8,   0xAC00,  0xAC01,
        0x1100, 0x4E2D, 0x3042, 0xE9,    0x1EBF,  0x1E9B,  0x212B,   0x2126,  0x37E,
        0x387,  0x958,  0xF900, 0x2F800, 0xFB1D,  0x344,   0x1D15E,  0x1109A, 0x110BA,
        0x5B0,  0x64E,  0x651,  0xE38,   0x1F600, 0xE0101, 0x10FFFF, 0xFFFE,  0x40000,
    };
    static const uint32_t ranges[][2] = {
        {0, 0x80},         {0x80, 0x600},     {0x300, 0x370},   {0x900, 0xE00},
        {0x1100, 0x1200},  {0x1E00, 0x2100},  {0x3000, 0x3100}, {0xA000, 0xD7FF},
        {0xF900, 0x10000}, {0x10000, 0x11200}}; /* what PCRE2's older tables know, too */
    if (rng_below(rng, 3) != 0)
        return of_interest[rng_below(rng, sizeof of_interest / sizeof *of_interest)];
    const uint32_t *range = ranges[rng_below(rng, sizeof ranges / sizeof *ranges)];
    return range[0] + (uint32_t)rng_below(rng, range[1] - range[0]);
}

static Buf random_text(Rng *rng)
{
    Buf text = {0};
    for (uint64_t n = rng_below(rng, 24); n > 0; n--) {
        char bytes[4];
        uint32_t cp = random_char(rng);
        for (uint64_t again = rng_below(rng, 8) ? 1 : 3; again > 0; again--)
            buf_append(&text, bytes, utf8_encode(cp, bytes));
    }
    return text;
}

static void qwen_rules_equal_the_expression(void **state)
{
    (void)state;
    Pretokenizer *rules = open_regex(QWEN_REGEX);
    char grouped[512];
    snprintf(grouped, sizeof grouped, "(?:%s)", QWEN_REGEX);
    Pretokenizer *regex = open_regex(grouped);
    assert_false(pretokenizer_is_qwen(regex));
    Rng rng = {1};
    for (int i = 0; i < 60000; i++) {
        Buf text = random_text(&rng);
        Buf a = split(rules, buf_str(&text)), b = split(regex, buf_str(&text));
        if (!str_equal(buf_str(&a), buf_str(&b)))
            fail_msg("%s: rules %s, expression %s", text.data, a.data, b.data);
        buf_free(&text);
        buf_free(&a);
        buf_free(&b);
    }
    pretokenizer_close(rules);
    pretokenizer_close(regex);
}

static void expressions_split_isolated(void **state)
{
    (void)state;
    Pretokenizer *p = open_regex("\\p{N}{1,3}");
    assert_split(p, STR("ab12345c"), "ab|123|45|c|");
    pretokenizer_close(p);
    p = open_regex("x*"); /* empty matches cut */
    assert_split(p, STR("axxb\xC3\xA9"), "a|xx|b|\xC3\xA9|");
    pretokenizer_close(p);
    p = open_regex("\\s|[^\\s]a");
    assert_split(p, STR("ba c\xE1\xA0\x8E"), "ba| |c\xE1\xA0\x8E|"); /* U+180E is no space */
    pretokenizer_close(p);
    Error err = {0};
    Str two[] = {STR("\\p{N}"), STR("b")};
    p = pretokenizer_open(&table, two, 2, &err);
    assert_non_null(p);
    assert_split(p, STR("abc1bb2"), "a|b|c|1|b|b|2|");
    pretokenizer_close(p);
    p = pretokenizer_open(&table, NULL, 0, &err);
    assert_split(p, STR("as it is"), "as it is|");
    pretokenizer_close(p);
}

static void hostile_expressions_end(void **state)
{
    (void)state;
    Error err = {0};
    static const char *const refused[] = {"(",      "[a",   "\\hx", "[a[b]]",
                                          "[a&&b]", "[]a]", "\\C",  "a{99999}"};
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        Str one = str_from(refused[i]);
        assert_error(pretokenizer_open(&table, &one, 1, &err) != NULL, ERROR_UNSUPPORTED,
                     "expression");
    }
    Str many[PRETOKENIZER_REGEXES_MAX + 1];
    for (size_t i = 0; i < sizeof many / sizeof *many; i++)
        many[i] = STR("a");
    assert_error(pretokenizer_open(&table, many, PRETOKENIZER_REGEXES_MAX + 1, &err) != NULL,
                 ERROR_LIMIT, "expressions");
    char *big = mem_alloc(20000);
    memset(big, 'a', 20000);
    Str one = {big, 20000};
    assert_error(pretokenizer_open(&table, &one, 1, &err) != NULL, ERROR_LIMIT, "20000 bytes");
    Pretokenizer *p = open_regex("(a+)+$");
    memset(big, 'a', 64);
    big[64] = 'b';
    Buf out = {0};
    assert_error(pretokenizer_split(p, (Str){big, 65}, collect, &out, &err), ERROR_LIMIT,
                 "fails on this");
    buf_free(&out);
    pretokenizer_close(p);
    mem_free(big);
}

static bool stop(void *context, Str piece, Error *err)
{
    (void)piece;
    int *left = context;
    return (*left)-- > 0 || error_set(err, ERROR_CANCELLED, "stopped");
}

static void a_handler_can_stop(void **state)
{
    (void)state;
    Error err = {0};
    Pretokenizer *p[] = {open_regex(QWEN_REGEX), open_regex("b")};
    for (int i = 0; i < 2; i++) {
        int left = 1;
        assert_error(pretokenizer_split(p[i], STR("a b a b"), stop, &left, &err), ERROR_CANCELLED,
                     "stopped");
        pretokenizer_close(p[i]);
    }
}

static void classes_follow_unicode(void **state)
{
    (void)state;
    int n_spaces = 0;
    for (uint32_t cp = 0; cp < 0x110000; cp++) {
        utf8proc_category_t category = utf8proc_category((utf8proc_int32_t)cp);
        CharClass c = char_class(&table, cp);
        bool is_letter = category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_LO;
        bool is_number = category >= UTF8PROC_CATEGORY_ND && category <= UTF8PROC_CATEGORY_NO;
        n_spaces += c == CHAR_SPACE || c == CHAR_NEWLINE;
        if ((c == CHAR_LETTER) != is_letter || (c == CHAR_NUMBER) != is_number)
            fail_msg("U+%04X: class %d, category %d", (unsigned)cp, c, category);
    }
    assert_int_equal(n_spaces, 25);
}

static Buf library_form_c(Str text)
{
    Buf out = {0};
    utf8proc_uint8_t *normal = NULL;
    utf8proc_ssize_t n =
        utf8proc_map((const utf8proc_uint8_t *)text.data, (utf8proc_ssize_t)text.bytes, &normal,
                     UTF8PROC_STABLE | UTF8PROC_COMPOSE);
    assert_true(n >= 0);
    buf_append(&out, normal, (size_t)n);
    free(normal);
    return out;
}

static void nfc_equals_the_library(void **state)
{
    (void)state;
    Rng rng = {2};
    int n_changed = 0, n_quick = 0;
    NfcResult result = {0};
    Error err = {0};
    for (int i = 0; i < 60000; i++) {
        Buf text = random_text(&rng);
        Buf expected = library_form_c(buf_str(&text));
        assert_ok(nfc_normalize(&table, buf_str(&text), &result, &err));
        if (!str_equal(buf_str(&result.text), buf_str(&expected)))
            fail_msg("%s: %s, expected %s", text.data, buf_str(&result.text).data,
                     buf_str(&expected).data);
        bool is_same = str_equal(buf_str(&text), buf_str(&expected));
        bool is_quick = nfc_quick_check(&table, buf_str(&text)) == text.bytes;
        assert_true(is_same || !is_quick);
        assert_int_equal(result.n_edits > 0, !is_same);
        n_changed += !is_same;
        n_quick += is_quick;
        buf_free(&text);
        buf_free(&expected);
    }
    nfc_result_free(&result);
    assert_true(n_changed > 1000 && n_quick > 1000);
}

static void nfc_of_each_character(void **state)
{
    (void)state;
    NfcResult result = {0};
    Error err = {0};
    for (uint32_t cp = 0; cp < 0x110000; cp++) {
        if (cp >= 0xD800 && cp < 0xE000)
            continue;
        char bytes[4];
        Str text = {bytes, utf8_encode(cp, bytes)};
        if (cp >= 0x3000 && nfc_quick_check(&table, text) == text.bytes && cp % 16 != 0)
            continue; /* the library is slow; a sample of the plain ones */
        Buf expected = library_form_c(text);
        assert_ok(nfc_normalize(&table, text, &result, &err));
        if (!str_equal(buf_str(&result.text), buf_str(&expected)))
            fail_msg("U+%04X", (unsigned)cp);
        buf_free(&expected);
    }
    nfc_result_free(&result);
}

static void nfc_maps_places(void **state)
{
    (void)state;
    NfcResult result = {0};
    Error err = {0};
    /* "ab" e+acute "c" Angstrom "d": bytes 2..4 become 2, bytes 5..8 (from the cut) become 3. */
    assert_ok(nfc_normalize(&table,
                            STR("abe\xCC\x81"
                                "c\xE2\x84\xAB"
                                "d"),
                            &result, &err));
    assert_string_equal(result.text.data, "ab\xC3\xA9"
                                          "c\xC3\x85"
                                          "d");
    assert_int_equal(result.n_edits, 2);
    static const size_t down[] = {0, 1, 2, 2, 2, 4, 4, 4, 4, 7, 8},
                        up[] = {0, 1, 2, 4, 4, 4, 7, 7, 7, 7, 8};
    for (size_t i = 0; i <= 10; i++) {
        assert_int_equal(nfc_map(&result, i, false), down[i]);
        assert_int_equal(nfc_map(&result, i, true), up[i]);
    }
    nfc_result_free(&result);
}

/* A letter with 200,000 marks in the wrong order: in n log n this takes a moment, in n * n minutes.
 */
static void nfc_of_a_long_run_of_marks(void **state)
{
    (void)state;
    Buf text = {0}, expected = {0};
    const int n = 100000;
    buf_putc(&text, 'q');
    buf_putc(&expected, 'q');
    for (int i = 0; i < n; i++)
        buf_puts(&text, "\xCC\x81\xCC\xA3"); /* acute (230), dot below (220) */
    for (int i = 0; i < n; i++)
        buf_puts(&expected, "\xCC\xA3");
    for (int i = 0; i < n; i++)
        buf_puts(&expected, "\xCC\x81");
    NfcResult result = {0};
    Error err = {0};
    assert_ok(nfc_normalize(&table, buf_str(&text), &result, &err));
    assert_true(str_equal(buf_str(&result.text), buf_str(&expected)));
    buf_free(&text);
    buf_free(&expected);
    nfc_result_free(&result);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(qwen_rules_by_example),
        cmocka_unit_test(qwen_rules_equal_the_expression),
        cmocka_unit_test(expressions_split_isolated),
        cmocka_unit_test(hostile_expressions_end),
        cmocka_unit_test(a_handler_can_stop),
        cmocka_unit_test(classes_follow_unicode),
        cmocka_unit_test(nfc_equals_the_library),
        cmocka_unit_test(nfc_of_each_character),
        cmocka_unit_test(nfc_maps_places),
        cmocka_unit_test(nfc_of_a_long_run_of_marks),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("pretokenize", tests, open_table, close_table);
}
