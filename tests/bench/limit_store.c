/* The limits of rows 2, 3 and 10: SQLite as the journal has it (WAL, synchronous = FULL, a writer thread), and nothing
 * else: no Lua, no hash chain, no run.
 *
 *   limit_store hand FILE N      N transactions of two rows, each handed to the writer and waited for (row 2)
 *   limit_store batch FILE N     N rows, 100 a transaction (row 3)
 *   limit_store read FILE RUN    the rows of one run, looked at as replay does (row 10) */
#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#define DATA_BYTES 260 /* about what an event of a small effect has */

static sqlite3 *db;
static sqlite3_stmt *insert;

static void must(int rc, const char *what)
{
    if (rc == SQLITE_OK || rc == SQLITE_DONE || rc == SQLITE_ROW)
        return;
    fprintf(stderr, "limit_store: %s: %s\n", what, sqlite3_errmsg(db));
    exit(1);
}

static void run(const char *sql)
{
    must(sqlite3_exec(db, sql, NULL, NULL, NULL), sql);
}

static void make(const char *file)
{
    unlink(file);
    must(sqlite3_open(file, &db), "open");
    run("PRAGMA journal_mode = WAL");
    run("PRAGMA synchronous = FULL");
    run("PRAGMA wal_autocheckpoint = 0");
    run("CREATE TABLE events (run TEXT NOT NULL, seq INTEGER NOT NULL, at INTEGER NOT NULL, key TEXT NOT NULL, kind "
        "TEXT NOT NULL, data TEXT NOT NULL, hash BLOB NOT NULL, PRIMARY KEY (run, seq)) STRICT, WITHOUT ROWID");
    must(sqlite3_prepare_v2(db, "INSERT INTO events VALUES ('1m80skh87-0krz9', ?, ?, ?, 'intent', ?, ?)", -1, &insert,
                            NULL),
         "prepare");
}

static void row(int64_t seq)
{
    static char data[DATA_BYTES], hash[32], key[32];
    memset(data, 'x', sizeof(data));
    snprintf(key, sizeof(key), "noop~%lld", (long long)seq);
    sqlite3_reset(insert);
    sqlite3_bind_int64(insert, 1, seq);
    sqlite3_bind_int64(insert, 2, 1764000000000000 + seq);
    sqlite3_bind_text(insert, 3, key, -1, SQLITE_STATIC);
    sqlite3_bind_text(insert, 4, data, sizeof(data), SQLITE_STATIC);
    sqlite3_bind_blob(insert, 5, hash, sizeof(hash), SQLITE_STATIC);
    must(sqlite3_step(insert), "insert");
}

/* -- hand: loop → writer → loop, once for each transaction --------------------------------------------------------- */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t wanted = PTHREAD_COND_INITIALIZER;
static int64_t asked, done, count;
static uv_async_t answer;

static void *writer(void *arg)
{
    (void)arg;
    for (int64_t n = 1; n <= count; n++) {
        pthread_mutex_lock(&lock);
        while (asked < n)
            pthread_cond_wait(&wanted, &lock);
        pthread_mutex_unlock(&lock);
        run("BEGIN IMMEDIATE");
        row(2 * n - 1);
        row(2 * n);
        sqlite3_reset(insert);
        run("COMMIT");
        pthread_mutex_lock(&lock);
        done = n;
        pthread_mutex_unlock(&lock);
        uv_async_send(&answer);
    }
    return NULL;
}

static void ask(void)
{
    pthread_mutex_lock(&lock);
    asked++;
    pthread_cond_signal(&wanted);
    pthread_mutex_unlock(&lock);
}

static void on_answer(uv_async_t *a)
{
    pthread_mutex_lock(&lock);
    int64_t n = done;
    int64_t pending = asked;
    pthread_mutex_unlock(&lock);
    if (n == count)
        uv_close((uv_handle_t *)a, NULL);
    else if (n == pending)
        ask();
}

static void hand(void)
{
    pthread_t thread;
    uv_async_init(uv_default_loop(), &answer, on_answer);
    pthread_create(&thread, NULL, writer, NULL);
    ask();
    uv_run(uv_default_loop(), UV_RUN_DEFAULT);
    pthread_join(thread, NULL);
}

/* -- batch, read --------------------------------------------------------------------------------------------------- */

static void batch(void)
{
    for (int64_t n = 0; n < count;) {
        run("BEGIN IMMEDIATE");
        for (int i = 0; i < 100 && n < count; i++)
            row(++n);
        sqlite3_reset(insert);
        run("COMMIT");
    }
}

static int64_t read_run(const char *file, const char *id)
{
    sqlite3_stmt *st;
    int64_t bytes = 0;
    must(sqlite3_open_v2(file, &db, SQLITE_OPEN_READONLY, NULL), "open");
    must(sqlite3_prepare_v2(db, "SELECT seq, at, key, kind, data, hash FROM events WHERE run = ? ORDER BY seq", -1, &st,
                            NULL),
         "prepare");
    sqlite3_bind_text(st, 1, id, -1, SQLITE_STATIC);
    while (sqlite3_step(st) == SQLITE_ROW) {
        char *copy = strdup((const char *)sqlite3_column_text(st, 4));
        bytes += (int64_t)strlen(copy);
        free(copy);
    }
    sqlite3_finalize(st);
    return bytes;
}

int main(int argc, char **argv)
{
    if (argc != 4)
        return 2;
    count = strcmp(argv[1], "read") == 0 ? 0 : atoll(argv[3]);
    if (!count) {
        printf("%lld\n", (long long)read_run(argv[2], argv[3]));
        return 0;
    }
    make(argv[2]);
    if (strcmp(argv[1], "hand") == 0)
        hand();
    else
        batch();
    sqlite3_finalize(insert);
    return 0;
}
