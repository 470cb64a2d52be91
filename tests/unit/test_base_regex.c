/* Regular expressions and UTF-8: what matches, what is refused, and that no pattern takes long. */
#include "cmk.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/regex.h"
#include "base/utf8.h"

static struct cx cx;

static bool match(const char *pattern, const char *text)
{
    struct regex *re = NULL;
    if (regex_compile(&cx, &cx.scratch, pattern, strlen(pattern), &re))
        fail_msg("%s: %s", pattern, cx.err.msg);
    void *work = malloc(regex_work(re));
    assert_non_null(work);
    bool hit = regex_match(re, text, strlen(text), work);
    free(work);
    return hit;
}

static int refused(const char *pattern)
{
    struct regex *re = NULL;
    int rc = regex_compile(&cx, &cx.scratch, pattern, strlen(pattern), &re);
    err_clear(&cx);
    return rc;
}

static const char *const matching[][2] = {
    {"", ""},
    {"abc", "abc"},
    {"a|b|", ""},
    {"a|b|", "b"},
    {"(a|ab)(c|bcd)(d*)", "abcd"},
    {"a*", "aaaa"},
    {"(a*)*", "aaa"},
    {"(a*)+", ""},
    {"a{2,3}", "aaa"},
    {"a{2}", "aa"},
    {"a{2,}", "aaaaa"},
    {"x{,2}", "x{,2}"},
    {"a{", "a{"},
    {"[]a]+", "a]"},
    {"[^a-c]", "d"},
    {"[a\\-c]+", "-ac"},
    {"[a-]", "-"},
    {"[\\d_]+", "1_2"},
    {"[[:alpha:]]+", "abZ"},
    {"[[:^alpha:]]", "1"},
    {"[^[:space:]]", "x"},
    {"\\d\\D\\s\\S\\w\\W", "1a x_-"},
    {"\\x41\\x{263a}", "A\xe2\x98\xba"},
    {"\\101", "A"},
    {"\\.", "."},
    {".", "\xc3\xa9"},
    {"(?i)stra\xc3\x9f"
     "e",
     "STRA\xc3\x9f"
     "E"},
    {"(?i)\xc3\x89t\xc3\xa9", "\xc3\xa9T\xc3\x89"},
    {"(?i:a)b", "Ab"},
    {"(?i)a(?-i)b", "Ab"},
    {"(?s).", "\n"},
    {"(?m)a$\n^b", "a\nb"},
    {"^a$", "a"},
    {"\\Aa\\z", "a"},
    {"\\bfoo\\b", "foo"},
    {"a\\Bb", "ab"},
    {"(?P<n>a)(?<m>b)(?:c)", "abc"},
    {"\\Qa.b*\\E+", "a.b**"},
    {"\\Q(|\\E|x", "(|"},
    {"a\\Q*", "a*"},
    {"\\Q\\E", ""},
    {"a+?b??", "aa"},
    {"(?U)a+", "aa"},
    {"[\xc3\xa0-\xc3\xa9]", "\xc3\xa9"},
};

static const char *const failing[][2] = {
    {"", "a"},          {"abc", "abcd"},     {"abc", "xabc"}, {".", "\n"},       {".", "ab"},
    {"a{2,3}", "aaaa"}, {"a{2,3}", "a"},     {"[^a-c]", "b"}, {"(?i:a)b", "AB"}, {"(?i)a(?-i)b", "AB"},
    {"^a$", "a\n"},     {"a$b", "ab"},       {"a\\bb", "ab"}, {"\\s", "\v"},     {".", "\xff"},
    {"[^a]", "\xff"},   {"(a|b)*c", "abab"},
};

static void matches(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof matching / sizeof *matching; i++)
        if (!match(matching[i][0], matching[i][1]))
            fail_msg("'%s' does not match '%s'", matching[i][0], matching[i][1]);
    for (size_t i = 0; i < sizeof failing / sizeof *failing; i++)
        if (match(failing[i][0], failing[i][1]))
            fail_msg("'%s' matches '%s'", failing[i][0], failing[i][1]);
}

static void refuses(void **state)
{
    static const char *const bad[] = {"*",          "a**",     "(",      ")",     "(a",          "[a",
                                      "[b-a]",      "\\",      "(a)\\1", "(?=a)", "(?<=a)",      "(?<!a)",
                                      "(?P<1",      "a{1001}", "a{3,2}", "\\x4",  "\\x{110000}", "\\i",
                                      "[[:nope:]]", "(?x)a",   "\xff",   "a++"};
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (refused(bad[i]) != E_ATTR)
            fail_msg("'%s' is not refused", bad[i]);
    assert_int_equal(refused("\\pN"), E_UNSUPPORTED);
    assert_int_equal(refused("[\\p{Greek}]"), E_UNSUPPORTED);
    assert_int_equal(refused("((a{1000}){1000}){1000}"), E_LIMIT);
    char deep[1001];
    memset(deep, '(', 1000);
    deep[1000] = 0;
    assert_int_equal(refused(deep), E_LIMIT);
}

/* Patterns that take a backtracking matcher exponential time. */
static void stays_quick(void **state)
{
    (void)state;
    char text[40001];
    memset(text, 'a', 40000);
    text[40000] = 0;
    double t0 = time_now();
    assert_false(match("(a*)*b", text));
    assert_false(match("(a|a)*b", text));
    assert_true(match("(((((){1000}){1000}){1000}){1000}){1000}a*", text));
    assert_true(time_now() - t0 < 20);
}

static void letters(void **state)
{
    char buf[UTF8_MAX];
    size_t len;
    (void)state;
    assert_int_equal(uni_lower('A'), 'a');
    assert_int_equal(uni_upper('z'), 'Z');
    assert_int_equal(uni_lower('1'), '1');
    assert_int_equal(uni_upper(0xe9), 0xc9);
    assert_int_equal(uni_lower(0x416), 0x436);
    assert_int_equal(uni_upper(0x101), 0x100);
    assert_int_equal(uni_upper(0x100), 0x100);
    for (int32_t c = 0; c <= 0x10ffff; c += c < 0x900 ? 1 : 97) {
        if (c >= 0xd800 && c < 0xe000)
            continue;
        size_t n = utf8_put(c, buf);
        assert_int_equal(utf8_get(buf, n, &len), c);
        assert_int_equal(len, n);
        if (n > 1)
            assert_int_equal(utf8_get(buf, n - 1, &len), UTF8_BAD);
    }
    assert_int_equal(utf8_get("\xc0\x80", 2, &len), UTF8_BAD);
    assert_int_equal(utf8_get("\xed\xa0\x80", 3, &len), UTF8_BAD);
    assert_int_equal(utf8_get("\x80", 1, &len), UTF8_BAD);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(matches),
        cmocka_unit_test(refuses),
        cmocka_unit_test(stays_quick),
        cmocka_unit_test(letters),
    };
    cx_init(&cx);
    int rc = cmocka_run_group_tests(tests, NULL, NULL);
    cx_fini(&cx);
    return rc;
}
