/* The picture of a run from its events: the tree, what is open, what an event voids, what is forgotten; and the next
 * commands. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "front/display.h"
#include "front/next.h"
#include "front/view.h"

static struct rb_view view;
static int64_t seq;

static struct rb_node *feed(const char *key, const char *kind, const char *data)
{
    struct rb_event ev = {
        .seq = ++seq, .at = 1000000 * (1000 + seq), .key = key, .kind = kind, .data = data, .data_len = strlen(data)};
    return rb_view_event(&view, &ev, NULL);
}

static int setup(void **state)
{
    (void)state;
    seq = 0;
    rb_view_init(&view, "1m7p8k3zr-7h2mc");
    feed("", "run.start",
         "{\"status\":\"running\",\"runbook\":\"promote\",\"title\":\"Promote\",\"actor\":{\"name\":\"ann\",\"uid\":1}"
         "}");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    rb_view_release(&view);
    return 0;
}

/* The tree as text: "Roll out:run(web1(exec true:run))". */
static void draw(const struct rb_node *p, struct rb_buf *out)
{
    static const char *const states[] = {"run", "wait", "doubt", "stop", "pass", "fail", "skip", "would"};
    int n = 0;
    RB_LIST_EACH (it, &p->children) {
        const struct rb_node *c = RB_CONTAINER(it, struct rb_node, link);
        rb_buf_addf(out, "%s%s", n++ ? " " : "", c->title);
        if (c->type != RB_NODE_BRANCH)
            rb_buf_addf(out, ":%s", states[c->state]);
        if (!rb_list_empty(&c->children)) {
            rb_buf_adds(out, "(");
            draw(c, out);
            rb_buf_adds(out, ")");
        }
    }
}

static void tree_is(const char *want)
{
    struct rb_buf b;
    rb_buf_init(&b, 65536);
    draw(&view.root, &b);
    assert_string_equal(rb_buf_text(&b), want);
    rb_buf_release(&b);
}

static void next_is(bool owned, const char *want)
{
    struct rb_cli cli = {0};
    struct rb_buf b;
    rb_buf_init(&b, 65536);
    rb_next_commands(&cli, &view, owned, &b);
    assert_string_equal(rb_buf_text(&b), want);
    rb_buf_release(&b);
}

#define ID "1m7p8k3zr-7h2mc"

static void test_tree(void **state)
{
    (void)state;
    feed("Roll out", "step.start", "{\"title\":\"Roll out\",\"type\":\"step\"}");
    feed("Roll out/web1/1", "intent", "{\"op\":\"exec\",\"args\":{\"argv\":[\"true\"]}}");
    tree_is("Roll out:run(web1(exec true:run))");
    feed("Roll out/web1/1", "result", "{\"n\":3,\"ok\":true,\"value\":{\"code\":0,\"stdout\":\"a\\nlast\\n\"}}");
    assert_string_equal(view.done->last, "last");
    feed("Roll out/a\\/b\\\\", "step.start", "{\"title\":\"a/b\\\\\",\"type\":\"step\"}");
    tree_is("Roll out:run(a/b\\:run)"); /* what is done is forgotten */
    feed("Roll out/a\\/b\\\\", "step.end", "{\"verdict\":\"skip\",\"why\":\"no\\u001b[2J need\"}");
    feed("Roll out", "step.end", "{\"verdict\":\"fail\",\"error\":{\"message\":\"boom\"}}");
    tree_is("Roll out:fail(a/b\\:skip)");
    struct rb_node *p = RB_CONTAINER(view.root.children.next, struct rb_node, link);
    assert_string_equal(p->error, "boom");
    p = RB_CONTAINER(p->children.prev, struct rb_node, link);
    assert_string_equal(p->error, "no need");
}

static void test_seen_before(void **state)
{
    (void)state;
    struct rb_event ev = {.seq = 1, .key = "x", .kind = "step.start", .data = "{}", .data_len = 2};
    json_t *data = json_null();
    assert_null(rb_view_event(&view, &ev, &data));
    assert_null(data);
    tree_is("");
}

static void test_gates(void **state)
{
    (void)state;
    feed("1", "wait", "{\"op\":\"approve\",\"title\":\"Go?\",\"args\":{\"text\":\"Go?\"}}");
    feed("2", "wait", "{\"op\":\"manual\",\"title\":\"Read\",\"args\":{\"text\":\"Read\",\"type\":\"number\"}}");
    feed("3", "wait", "{\"op\":\"sleep\",\"args\":{},\"until\":5000000000}");
    feed("4", "wait", "{\"op\":\"signal\",\"title\":\"go on\",\"args\":{\"name\":\"go on\"}}");
    feed("", "run.state", "{\"status\":\"waiting\",\"waiting\":\"two things\"}");
    assert_string_equal(view.status, "waiting");
    assert_string_equal(view.waiting, "two things");
    assert_int_equal(rb_view_asks(&view), 3);
    next_is(false, "rbhost approve " ID " 2 --resume\nrbhost deny " ID " 2 --resume\n"
                   "rbhost answer " ID " 3 --value VALUE --resume\nrbhost answer " ID " 3 failed --resume\n"
                   "rbhost signal " ID " 'go on' --resume\nrbhost resume " ID "\n");
    feed("1", "result",
         "{\"n\":2,\"ok\":true,\"value\":{\"decision\":\"approved\",\"comment\":\"fine\"},\"actor\":{\"name\":\"ann\"}"
         "}");
    assert_null(rb_view_open(&view, 2));
    assert_string_equal(view.done->last, "fine");
    feed("2", "result", "{\"n\":3,\"ok\":true,\"value\":{\"value\":3.5}}");
    feed("4", "result", "{\"n\":5,\"ok\":true,\"value\":{\"value\":null}}");
    next_is(true, "rbhost attach " ID "\n");
}

static void test_doubt(void **state)
{
    (void)state;
    feed("1", "intent", "{\"op\":\"exec\",\"args\":{\"argv\":[\"deploy\"]}}");
    feed("", "run.park", "{\"status\":\"parked\",\"why\":\"interrupted\",\"running\":[{\"n\":2,\"key\":\"1\"}]}");
    tree_is("exec deploy:stop");
    struct rb_buf b;
    rb_buf_init(&b, 1024);
    rb_next_running(&view, &b);
    assert_string_equal(rb_buf_text(&b), "  was running: #2 exec deploy\n");
    rb_buf_release(&b);
    feed("", "run.resume", "{\"status\":\"running\"}");
    feed("1", "doubt", "{\"n\":2}");
    tree_is("exec deploy:doubt");
    next_is(false, "rbhost resolve " ID " 2 done --resume\nrbhost resolve " ID " 2 retry --resume\nrbhost resolve " ID
                   " 2 fail --resume\nrbhost resume " ID "\n");
    feed("1", "resolve", "{\"n\":2,\"as\":\"retry\",\"signal\":4}");
    assert_int_equal(view.signal, 4);
    assert_int_equal(rb_view_asks(&view), 0);
    feed("1", "intent", "{\"op\":\"exec\",\"args\":{\"argv\":[\"deploy\"]},\"twice\":true}");
    feed("1", "result", "{\"n\":7,\"ok\":true,\"value\":{\"code\":0,\"stdout\":\"\"}}");
    feed("", "note", "{\"text\":\"x\"}");
    tree_is("exec deploy:pass");
}

static void test_retry_and_undo(void **state)
{
    (void)state;
    feed("A", "step.start", "{\"title\":\"A\",\"type\":\"step\"}");
    feed("A", "step.end", "{\"verdict\":\"pass\"}");
    feed("", "undo", "{\"n\":1,\"title\":\"back\"}");
    feed("B", "step.start", "{\"title\":\"B\",\"type\":\"step\"}");
    feed("B/1", "intent", "{\"op\":\"exec\",\"args\":{\"argv\":[\"x\"]}}");
    feed("B/1", "result", "{\"n\":6,\"ok\":false,\"error\":{\"message\":\"exit 1\"}}");
    feed("B", "step.end", "{\"verdict\":\"fail\",\"error\":{\"message\":\"exit 1\"}}");
    feed("", "run.end",
         "{\"status\":\"failed\",\"error\":{\"message\":\"exit 1\",\"where\":\"x.lua:3\",\"op\":6},\"failing\":[6],"
         "\"undo\":[{\"n\":1,\"title\":\"back\"}]}");
    tree_is("A:pass B:fail(exec x:fail)");
    assert_int_equal(view.failing, 6);
    assert_string_equal(view.error, "exit 1");
    assert_string_equal(view.where, "x.lua:3");
    next_is(false, "rbhost retry " ID "\nrbhost undo " ID "\nrbhost show " ID "\n");
    feed("", "run.retry", "{\"status\":\"running\",\"keep\":[[2,5]],\"voided\":[7]}");
    tree_is("A:pass B:run(exec x:run)");
    assert_null(view.error);
    feed("", "undo.clear", "{}");
    assert_true(rb_list_empty(&view.undos));
}

static void test_many_operations(void **state)
{
    (void)state;
    for (int i = 1; i <= 1000; i++) {
        char key[16];
        snprintf(key, sizeof(key), "%d", i);
        feed(key, "intent", "{\"op\":\"exec\",\"args\":{\"argv\":[\"true\"]}}");
        feed(key, "result", "{\"ok\":true,\"value\":{\"code\":0}}");
    }
    int n = 0;
    RB_LIST_EACH (it, &view.root.children)
        n++;
    assert_true(n <= 10); /* memory does not grow with the run */
    assert_int_equal(view.root.ops + n, 1000);
}

static void test_odd_events(void **state)
{
    (void)state;
    static const char *const kinds[] = {"run.start", "run.park", "run.end",        "run.retry", "step.start",
                                        "step.end",  "intent",   "wait",           "result",    "doubt",
                                        "resolve",   "log",      "note",           "evidence",  "undo",
                                        "cancel",    "op.stop",  "from.the.future"};
    static const char *const data[] = {
        "{}",       "[]", "null", "{\"n\":\"x\",\"args\":7,\"title\":[],\"error\":[1],\"value\":{\"$blob\":1}}",
        "not json", ""};
    static const char *const keys[] = {"", "/", "//", "a/", "\\", "a\\/b/1", "a"};
    for (size_t k = 0; k < RB_COUNT(kinds); k++)
        for (size_t d = 0; d < RB_COUNT(data); d++)
            for (size_t i = 0; i < RB_COUNT(keys); i++) {
                struct rb_event ev = {.seq = ++seq,
                                      .at = seq,
                                      .key = keys[i],
                                      .kind = kinds[k],
                                      .data = data[d],
                                      .data_len = strlen(data[d])};
                json_t *json;
                struct rb_buf line;
                rb_buf_init(&line, 65536);
                struct rb_node *p = rb_view_event(&view, &ev, &json);
                rb_plain_event(&line, ID, &ev, p, json);
                assert_true(line.len > 0);
                assert_null(memchr(line.data, '\n', line.len));
                rb_buf_release(&line);
                json_decref(json);
            }
}

static void test_output(void **state)
{
    (void)state;
    feed("1", "intent", "{\"op\":\"exec\",\"args\":{\"argv\":[\"x\"]}}");
    struct rb_node *p = rb_view_output(&view, 2, "1", "one\n\x1b[31mtwo\n", 13);
    assert_string_equal(p->last, "two");
    p = rb_view_output(&view, 0, "S/2", "read", 4);
    assert_string_equal(p->title, "read");
    tree_is("exec x:run S(read:run)");
}

/* What nobody is shown leaves nothing; all else is as it is for who looks. */
static void test_brief(void **state)
{
    (void)state;
    view.brief = true;
    assert_null(feed("S/1", "result", "{\"op\":\"http\",\"args\":{},\"ok\":true,\"us\":1,\"value\":{\"status\":200}}"));
    tree_is("");
    assert_int_equal(view.seq, seq);
    feed("S/2", "result", "{\"op\":\"http\",\"args\":{},\"ok\":false,\"error\":{\"message\":\"gone\"}}");
    tree_is("S(http:fail)");
    feed("S/3", "result", "{\"op\":\"exec\",\"args\":{},\"ok\":true,\"twice\":true}");
    tree_is("S(http:fail exec:pass)");
    feed("S/4", "result", "{\"op\":\"exec\",\"ok\":true,\"as\":\"dry\"}");
    assert_true(view.done->would);
    feed("S/5", "intent", "{\"op\":\"exec\",\"args\":{\"argv\":[\"x\"]}}");
    feed("S/5", "result", "{\"n\":6,\"ok\":true,\"value\":{\"stdout\":\"\",\"stderr\":\"last\"}}");
    assert_string_equal(view.done->last, "last");
    feed("S/6", "result", "{\"op\":\"x\",\"ok\":true,\"signal\":9}");
    assert_int_equal(view.signal, 9);
    view.brief = false;
    feed("S/7", "result", "{\"op\":\"x\",\"ok\":true,\"value\":{\"body\":\"a\\nb\"}}");
    assert_string_equal(view.done->last, "b");
    feed("S/8", "result", "{\"op\":\"x\",\"ok\":true,\"value\":[1,2]}");
    assert_string_equal(view.done->last, "[1,2]");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_tree, setup, teardown),
        cmocka_unit_test_setup_teardown(test_seen_before, setup, teardown),
        cmocka_unit_test_setup_teardown(test_gates, setup, teardown),
        cmocka_unit_test_setup_teardown(test_doubt, setup, teardown),
        cmocka_unit_test_setup_teardown(test_retry_and_undo, setup, teardown),
        cmocka_unit_test_setup_teardown(test_many_operations, setup, teardown),
        cmocka_unit_test_setup_teardown(test_odd_events, setup, teardown),
        cmocka_unit_test_setup_teardown(test_output, setup, teardown),
        cmocka_unit_test_setup_teardown(test_brief, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
