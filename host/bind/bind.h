/* The primitives that scripts call, name → function: the table that main gives to the engine. */
#ifndef RB_BIND_H
#define RB_BIND_H

#include "engine/bindings.h"

extern const struct rb_binding rb_bindings[];

int rb_bind_exec(lua_State *L);  /* exec{ argv=, cwd=, env=, stdin=, timeout=, check=, max_output=, … } */
int rb_bind_sleep(lua_State *L); /* sleep{ until= wall µs, title= } */
int rb_bind_gate(lua_State *L);  /* gate{ kind= "approve"|"manual"|"signal", … } */
/* sql{ action= "run"|"begin"|"commit"|"backup", dsn=, text=, params=, … }: bind_sql.h */
int rb_bind_sql(lua_State *L);
int rb_bind_sql_drop(lua_State *L); /* key: its transaction is over; what was not committed is rolled back */
int rb_bind_file(lua_State *L);     /* file{ verb= "read"|"stat"|…, path=, … } */

int rb_bind_ssh(lua_State *L);          /* ssh{ host=, argv= or text=, env=, cwd=, stdin=, timeout_ms=, … } */
int rb_bind_ssh_upload(lua_State *L);   /* ssh_upload{ host=, from= or content=, to=, mode=, … } */
int rb_bind_ssh_download(lua_State *L); /* ssh_download{ host=, from=, to=, max=, … } */
int rb_bind_ssh_groups(lua_State *L);   /* ssh_groups() → { name = { host … } } of the configuration */
int rb_bind_ssh_names(lua_State *L);    /* ssh_names() → the hosts that ssh's configuration names */

int rb_bind_secret(lua_State *L); /* secret{ name= } */
int rb_bind_notify(lua_State *L); /* notify{ channel=, text=, headline=, severity=, fields= {{name, value} …}, … } */

int rb_bind_http(lua_State *L);              /* http{ method=, url=, headers=, body=, … }: see http_request.h */
int rb_bind_http_stream(lua_State *L);       /* http_stream() → a stream of events, not open yet */
int rb_bind_http_event(lua_State *L);        /* http_event{ stream=, url=, last_id=, … }: the next event of it */
int rb_bind_http_stream_close(lua_State *L); /* http_stream_close(stream) */

#endif
