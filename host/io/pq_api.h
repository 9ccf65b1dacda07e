/* libpq, opened with dlopen when the first connection to PostgreSQL is wanted: linked in it would cost every start of
 * rbhost several milliseconds. Functions have libpq's own names and types: rb_pq.PQfinish(conn). */
#ifndef RB_PQ_API_H
#define RB_PQ_API_H

#include <libpq-fe.h>

#include "base/err.h"

#define RB_PQ_EACH(X) \
    X(PQcancel) \
    X(PQclear) \
    X(PQcmdStatus) \
    X(PQcmdTuples) \
    X(PQconnectPoll) \
    X(PQconnectStartParams) \
    X(PQconninfo) \
    X(PQconninfoFree) \
    X(PQconnectionNeedsPassword) \
    X(PQconninfoParse) \
    X(PQconsumeInput) \
    X(PQerrorMessage) \
    X(PQfinish) \
    X(PQflush) \
    X(PQfname) \
    X(PQfreeCancel) \
    X(PQfreemem) \
    X(PQftype) \
    X(PQgetCancel) \
    X(PQgetisnull) \
    X(PQgetlength) \
    X(PQgetResult) \
    X(PQgetvalue) \
    X(PQisBusy) \
    X(PQnfields) \
    X(PQnotifies) \
    X(PQntuples) \
    X(PQparameterStatus) \
    X(PQputCopyEnd) \
    X(PQresultErrorField) \
    X(PQresultStatus) \
    X(PQsendQuery) \
    X(PQsendQueryParams) \
    X(PQsetErrorVerbosity) \
    X(PQsetnonblocking) \
    X(PQsetNoticeReceiver) \
    X(PQsetSingleRowMode) \
    X(PQsocket) \
    X(PQsslInUse) \
    X(PQstatus) \
    X(PQtransactionStatus)

struct rb_pq {
#define RB_PQ_MEMBER(name) __typeof__(name) *name;
    RB_PQ_EACH(RB_PQ_MEMBER)
#undef RB_PQ_MEMBER
};

/* Filled once rb_pq_open() has returned 0, on whatever thread. */
extern struct rb_pq rb_pq;

/* Opens the library, once for the life of the process. It reads files, so the loop's thread leaves it to the pool.
 * RB_ENOENT: it is not there; the sentence names the package. */
int rb_pq_open(struct rb_err *err);

#endif
