/* Programs of C calls, written by a fuzzer. Each byte chooses the next function,
 * the bytes after it its arguments: handles of every type in every place, NULL,
 * texts that are none, lengths and numbers of any size. What the header calls
 * undefined stays away: a freed handle is never used again.
 *
 * A call that comes so far meets a server in this process, on a loopback port,
 * which sends what the program says. After every call the promises of the header
 * are checked; AddressSanitizer looks after the rest. */

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "imgroup.h"

#define LENGTH(array) (sizeof(array) / sizeof *(array))
#define REQUIRE(condition)                                              \
  do {                                                                  \
    if (!(condition)) {                                                 \
      fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);   \
      abort();                                                          \
    }                                                                   \
  } while (0)

/* Which functions were called: run.py compares them with the header. */
#define FUNCTIONS_MAX 256
static const char *called[FUNCTIONS_MAX];
#define DO(function) (called[__COUNTER__] = #function, function)

static void list_called(void) {
  size_t i;
  if (!getenv("FUZZ_LIST_CALLED")) return;
  for (i = 0; i < FUNCTIONS_MAX; i++) {
    if (called[i]) printf("called %s\n", called[i]);
  }
  fflush(stdout);
}

/* ---- the input */

static const uint8_t *at, *end;
static const char SECRET_KEY[] = "a-secret-key-that-nobody-may-see";

static uint64_t number(size_t bytes) {
  uint64_t value = 0;
  while (bytes-- > 0) value = value << 8 | (at < end ? *at++ : 0);
  return value;
}

/* Mostly small, sometimes of any size. */
static uint32_t some_u32(void) {
  uint8_t kind = (uint8_t)number(1);
  if (kind < 200) return kind;
  return kind < 250 ? (uint32_t)number(4) : kind < 253 ? UINT32_MAX : INT32_MAX;
}

static size_t some_length(size_t honest) {
  uint8_t kind = (uint8_t)number(1);
  if (kind < 240) return honest;
  return kind < 248 ? SIZE_MAX : kind < 252 ? SIZE_MAX / 2 + 1 : SIZE_MAX / sizeof(char *) + 2;
}

/* Inputs live in blocks of exactly their size, until the call is over. */
static void *blocks[1024];
static size_t blocks_used;

static void *block(size_t size) {
  void *memory = malloc(size ? size : 1);
  REQUIRE(memory && blocks_used < LENGTH(blocks));
  return blocks[blocks_used++] = memory;
}

static void free_blocks(void) {
  while (blocks_used > 0) free(blocks[--blocks_used]);
}

/* Bytes of the input; at most as many as there are. */
static const char *bytes(size_t length, size_t *given) {
  char *copy;
  if (length > (size_t)(end - at)) length = (size_t)(end - at);
  copy = block(length);
  memcpy(copy, at, length);
  at += length;
  *given = length;
  return copy;
}

static const char *copied(const char *text) { return strcpy(block(strlen(text) + 1), text); }

/* NULL, a text of the input, or one that belongs there. */
static const char *text_of(const char *const *good, size_t count) {
  uint8_t kind = (uint8_t)number(1);
  size_t length;
  const char *raw;
  char *text;
  if (kind < 2) return NULL;
  if (kind < 192 && count > 0) return copied(good[kind % count]);
  raw = bytes(kind & 63, &length);
  text = block(length + 1);
  memcpy(text, raw, length);
  text[length] = 0;
  return text;
}

#define TEXT(...)                                           \
  text_of((const char *const[]){__VA_ARGS__},               \
          LENGTH(((const char *const[]){__VA_ARGS__})))

static const char *account(void) { return TEXT("alice", "bob", "", "x", "账号"); }

/* An array of names, whose length may be a lie that the library can tell. */
static const char *const *names(size_t *length) {
  size_t honest = number(1) % 36, i;
  const char **array;
  if (honest == 35) {
    *length = some_length(0);
    return NULL;
  }
  array = block(honest * sizeof *array);
  for (i = 0; i < honest; i++) array[i] = TEXT("Family", "Work", "Gym", "\t", "名单", "\xff");
  *length = some_length(honest);
  return array;
}

/* ---- handles */

enum { CONFIG, CLIENT, CALL, RESPONSE, ERROR, JOB, KINDS };
enum { PLACES = 4 };
static void *handles[KINDS][PLACES];
static uint64_t zeros[8];

/* A handle of `kind` or, rarely, of another one, or none. */
static void *handle(int kind) {
  uint8_t choice = (uint8_t)number(1);
  if (choice < 224) return handles[kind][choice % PLACES];
  if (choice < 252) return handles[choice % KINDS][choice / KINDS % PLACES];
  return choice < 254 ? (void *)zeros : NULL;
}

static int kind_of(const void *pointer) {
  int kind, place;
  for (kind = 0; kind < KINDS; kind++) {
    for (place = 0; place < PLACES; place++) {
      if (pointer && handles[kind][place] == pointer) return kind;
    }
  }
  return -1;
}

static void free_handle(int kind, void *pointer) {
  switch (kind) {
    case CONFIG: DO(imgroup_config_free)(pointer); break;
    case CLIENT: DO(imgroup_client_free)(pointer); break;
    case CALL: DO(imgroup_call_free)(pointer); break;
    case RESPONSE: DO(imgroup_response_free)(pointer); break;
    case JOB: DO(imgroup_job_free)(pointer); break;
    default: DO(imgroup_error_free)(pointer);
  }
}

static void keep(int kind, void *pointer) {
  void **place = &handles[kind][number(1) % PLACES];
  free_handle(kind, *place);
  *place = pointer;
}

/* ---- callbacks: each owns memory, given back once */

struct userdata {
  uint8_t answers[4];
  uint8_t next;
};
static long userdata_alive;

static struct userdata *userdata(void) {
  struct userdata *data = malloc(sizeof *data);
  size_t i;
  REQUIRE(data);
  for (i = 0; i < sizeof data->answers; i++) data->answers[i] = (uint8_t)number(1);
  data->next = 0;
  userdata_alive++;
  return data;
}

static void drop(void *pointer) {
  free(pointer);
  userdata_alive--;
}

static void *call_in_use;

static int64_t acquire(void *pointer, const char *command) {
  struct userdata *data = pointer;
  static const int64_t answers[] = {0, 0, 0, 0, 1, -1, INT64_MAX, INT64_MIN};
  uint8_t answer = data->answers[data->next++ % sizeof data->answers];
  REQUIRE(command && strlen(command) <= 64);
  /* Any thread may cancel a call that another one uses; so may this one. */
  if (answer >= 240) DO(imgroup_call_cancel)(call_in_use);
  return answers[answer % LENGTH(answers)];
}

static void no_secret(const char *text) {
  REQUIRE(text);
  REQUIRE(!strstr(text, SECRET_KEY));
}

static void log_line(void *pointer, int32_t level, const char *message) {
  struct userdata *data = pointer;
  data->next++;
  REQUIRE(level >= 1 && level <= 5);
  no_secret(message);
}

/* ---- the server */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static uint8_t reply[2048];
static size_t reply_length;
static enum { KEEP, CLOSE, RESET, SILENT, MANNERS } manners;
static char endpoint[64], closed_endpoint[64];

enum { CONNECTIONS = 64 };

static void let_go(struct pollfd *connection, int reset) {
  struct linger linger = {1, 0};
  if (reset) setsockopt(connection->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
  close(connection->fd);
  connection->fd = -1;
}

/* A request is there when its head and as much as the head says have come; it
 * comes in one piece here, so nothing is kept between two looks. */
static void answer(struct pollfd *connection) {
  char request[16384];
  ssize_t length = recv(connection->fd, request, sizeof request - 1, MSG_DONTWAIT);
  if (length <= 0) {
    if (length == 0 || errno != EAGAIN) let_go(connection, 0);
    return;
  }
  pthread_mutex_lock(&lock);
  switch (manners) {
    case RESET: let_go(connection, 1); break;
    case SILENT: break;
    default:
      (void)!send(connection->fd, reply, reply_length, MSG_NOSIGNAL);
      if (manners == CLOSE) let_go(connection, 0);
  }
  pthread_mutex_unlock(&lock);
}

static void *serve(void *listener) {
  struct pollfd all[CONNECTIONS + 1];
  size_t i;
  all[0].fd = (int)(intptr_t)listener;
  for (i = 1; i < LENGTH(all); i++) all[i].fd = -1;
  for (i = 0; i < LENGTH(all); i++) all[i].events = POLLIN;
  for (;;) {
    poll(all, LENGTH(all), -1);
    for (i = 1; i < LENGTH(all); i++) {
      if (all[i].fd >= 0 && all[i].revents) answer(&all[i]);
    }
    if (all[0].revents) {
      int fd = accept(all[0].fd, NULL, NULL);
      for (i = 1; i < LENGTH(all) && all[i].fd >= 0; i++) continue;
      if (i < LENGTH(all)) all[i].fd = fd;
      else close(fd);
    }
  }
  return NULL;
}

static char folder[64];

static void empty_folder(void) {
  DIR *directory = opendir(folder);
  struct dirent *entry;
  REQUIRE(directory);
  while ((entry = readdir(directory))) {
    if (entry->d_name[0] != '.') unlinkat(dirfd(directory), entry->d_name, 0);
  }
  closedir(directory);
}

static void remove_folder(void) {
  empty_folder();
  rmdir(folder);
}

static int bound(char *url, size_t size) {
  struct sockaddr_in address = {0};
  socklen_t length = sizeof address;
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  REQUIRE(fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof address) == 0);
  REQUIRE(getsockname(fd, (struct sockaddr *)&address, &length) == 0);
  snprintf(url, size, "http://127.0.0.1:%u", ntohs(address.sin_port));
  return fd;
}

static void begin(void) {
  static int begun;
  pthread_t thread;
  int listener;
  if (begun++) return;
  listener = bound(endpoint, sizeof endpoint);
  REQUIRE(listen(listener, CONNECTIONS) == 0);
  REQUIRE(pthread_create(&thread, NULL, serve, (void *)(intptr_t)listener) == 0);
  /* Bound and not listening: refuses, and nobody else can take it. */
  bound(closed_endpoint, sizeof closed_endpoint);
  snprintf(folder, sizeof folder, "jobs-%d", (int)getpid());
  REQUIRE(mkdir(folder, 0700) == 0);
  atexit(list_called);
  atexit(remove_folder);
}

/* The next reply of the server: raw, or a whole one with this body. */
static void set_reply(void) {
  static const char *const bodies[] = {
      "{\"ActionStatus\":\"OK\",\"ErrorCode\":0,\"ErrorInfo\":\"0\",\"CurrentSequence\":7}",
      "{\"ErrorCode\":0,\"CurrentSequence\":8,\"ResultItem\":[{\"GroupName\":\"Family\",\"FriendNumber\":2,"
      "\"To_Account\":[\"bob\",\"carol\"]},{\"GroupName\":\"Work\"}]}",
      "{\"ErrorCode\":0,\"ResultItem\":[{\"To_Account\":\"bob\",\"ResultCode\":0,\"ResultInfo\":\"\"},"
      "{\"To_Account\":\"carol\",\"ResultCode\":30001,\"ResultInfo\":\"no\\u0000friend\"}]}",
      "{\"ActionStatus\":\"FAIL\",\"ErrorCode\":30001,\"ErrorInfo\":\"no such list\",\"ErrorDisplay\":\"?\"}",
      "{\"ActionStatus\":\"FAIL\",\"ErrorCode\":70001,\"ErrorInfo\":\"expired\"}",
      "{\"ActionStatus\":\"FAIL\",\"ErrorCode\":70009,\"ErrorInfo\":\"forged\"}",
      "{\"ActionStatus\":\"FAIL\",\"ErrorCode\":60007,\"ErrorInfo\":\"too often\"}",
      "{\"ActionStatus\":\"FAIL\",\"ErrorCode\":30006,\"ErrorInfo\":\"a-secret-key-that-nobody-may-see\"}",
  };
  uint8_t kind = (uint8_t)number(1);
  size_t length;
  const char *body;
  pthread_mutex_lock(&lock);
  manners = kind / 16 % 8 < MANNERS ? kind / 16 % 8 : KEEP;
  if (kind % 16 == 15) {
    body = bytes(number(1), &length);
    memcpy(reply, body, length);
    reply_length = length;
  } else {
    if (kind % 16 < LENGTH(bodies)) {
      body = bodies[kind % 16];
      length = strlen(body);
    } else {
      body = bytes(number(1), &length);
    }
    reply_length = (size_t)snprintf((char *)reply, sizeof reply, "HTTP/1.1 %d X\r\nContent-Length: %zu\r\n\r\n",
                                    kind % 16 == 14 ? 502 : 200, length);
    memcpy(reply + reply_length, body, length);
    reply_length += length;
  }
  pthread_mutex_unlock(&lock);
}

/* ---- what is promised */

static imgroup_error *failure;
static imgroup_error **out;

/* Where the error of the next call goes: sometimes nowhere. */
static imgroup_error **error_out(void) {
  failure = (imgroup_error *)(void *)zeros;
  return out = number(1) < 240 ? &failure : NULL;
}

static void look_at_error(const void *error) {
  int32_t code = DO(imgroup_error_code)(error);
  int is_error = kind_of(error) == ERROR;
  REQUIRE(strcmp(DO(imgroup_error_name)(error), is_error ? imgroup_code_name(code) : "") == 0);
  no_secret(DO(imgroup_error_message)(error));
  no_secret(DO(imgroup_error_display)(error));
  no_secret(DO(imgroup_error_host)(error));
  REQUIRE(!is_error == !*imgroup_error_message(error));
  REQUIRE(!is_error == !*imgroup_class_name(DO(imgroup_error_class)(error)));
  REQUIRE(*imgroup_outcome_name(DO(imgroup_error_outcome)(error)));
  REQUIRE((DO(imgroup_error_is_retryable)(error) & ~1) == 0);
  REQUIRE(DO(imgroup_error_http_status)(error) >= 0 && imgroup_error_http_status(error) < 1000);
  (void)DO(imgroup_error_attempts)(error);
  (void)DO(imgroup_error_random)(error);
}

/* A result fits its outputs: `output` is what was given, or NULL. */
static void result(int32_t code, const void *output, int wanted) {
  REQUIRE(code != IMGROUP_E_PANIC);
  REQUIRE((code == IMGROUP_OK && wanted) == (output != NULL));
  if (out) {
    REQUIRE((code == IMGROUP_OK) == (failure == NULL));
    REQUIRE(imgroup_error_code(failure) == code);
    if (failure) {
      keep(ERROR, failure);
      look_at_error(failure);
    }
  }
  free_blocks();
}


static void look_at_response(const void *response) {
  size_t lists = DO(imgroup_response_list_count)(response), results = DO(imgroup_response_result_count)(response);
  size_t i, j, length = 1;
  const char *body = DO(imgroup_response_body)(response, &length);
  REQUIRE((kind_of(response) == RESPONSE) == (body != NULL));
  REQUIRE(body ? strlen(body) <= length : length == 0);
  (void)DO(imgroup_response_sequence)(response);
  (void)DO(imgroup_response_attempts)(response);
  REQUIRE((DO(imgroup_response_has_sequence)(response) & ~1) == 0);
  REQUIRE((DO(imgroup_response_was_ambiguous)(response) & ~1) == 0);
  for (i = 0; i <= lists; i++) {
    size_t members = DO(imgroup_response_member_count)(response, i);
    const char *name = DO(imgroup_response_list_name)(response, i);
    REQUIRE((i < lists) == (name != NULL));
    if (name) (void)strlen(name);
    (void)DO(imgroup_response_list_friend_count)(response, i);
    for (j = 0; j <= members; j++) {
      const char *member = DO(imgroup_response_member)(response, i, j);
      REQUIRE((j < members) == (member != NULL));
      if (member) (void)strlen(member);
    }
  }
  for (i = 0; i <= results; i++) {
    const char *who = DO(imgroup_response_result_account)(response, i);
    const char *info = DO(imgroup_response_result_info)(response, i);
    REQUIRE((i < results) == (who != NULL) && (i < results) == (info != NULL));
    if (who) (void)(strlen(who) + strlen(info));
    (void)DO(imgroup_response_result_code)(response, i);
  }
  REQUIRE(imgroup_response_list_name(response, SIZE_MAX) == NULL);
  REQUIRE(imgroup_response_member(response, SIZE_MAX, SIZE_MAX) == NULL);
  REQUIRE(imgroup_response_result_account(response, SIZE_MAX) == NULL);
}

/* ---- the functions */

static const char *url(void) {
  return TEXT("https://127.0.0.1:1", "http://localhost:1", "https://adminapisgp.im.qcloud.com", "http://[::1]:1",
              "http://10.0.0.1", "https://a:b@c", "ftp://a", "https://");
}

static void config_new(void) {
  imgroup_config *made = (imgroup_config *)(void *)zeros;
  imgroup_config **config = number(1) < 250 ? &made : NULL;
  uint32_t sdkappid = some_u32();
  const char *identifier = TEXT("administrator", "a", "", "two words", "\n");
  const char *key = TEXT(SECRET_KEY, SECRET_KEY, "k", "");
  int32_t code = DO(imgroup_config_new)(sdkappid, identifier, key, config, error_out());
  result(code, config ? made : NULL, config != NULL);
  if (config && made) keep(CONFIG, made);
}

static void config_from_env(void) {
  static const char *const variables[] = {"IMGROUP_SDKAPPID",   "IMGROUP_IDENTIFIER", "IMGROUP_SECRET_KEY",
                                          "IMGROUP_REGION",     "IMGROUP_ENDPOINT",   "IMGROUP_CA_FILE",
                                          "IMGROUP_TIMEOUT_MS", "IMGROUP_QUOTA_DIR",  "IMGROUP_SECRET_KEY_FILE"};
  imgroup_config *made = (imgroup_config *)(void *)zeros;
  imgroup_config **config = number(1) < 250 ? &made : NULL;
  size_t i;
  int32_t code;
  for (i = 0; i < LENGTH(variables); i++) {
    const char *value = TEXT("1400000000", "administrator", "sgp", "https://127.0.0.1:1", "", "system");
    /* A key, and one in place of its file's name. */
    if (strstr(variables[i], "SECRET_KEY") && number(1) < 192) value = SECRET_KEY;
    if (value && *value != '/') setenv(variables[i], value, 1);
    else unsetenv(variables[i]);
  }
  code = DO(imgroup_config_from_env)(config, error_out());
  result(code, config ? made : NULL, config != NULL);
  if (config && made) keep(CONFIG, made);
}

/* A client of a good configuration, whatever was set before: it can do what it
 * wants in a few milliseconds, and reaches nobody but the server above. */
static void client_new(void) {
  imgroup_client *made = (imgroup_client *)(void *)zeros;
  imgroup_client **client = number(1) < 250 ? &made : NULL;
  imgroup_config *config = handle(CONFIG);
  char own[64];
  uint8_t where = (uint8_t)number(1);
  int32_t code;
  snprintf(own, sizeof own, "%s", where % 8 == 7 ? closed_endpoint : endpoint);
  if (where % 8 == 6) snprintf(own, sizeof own, "https%s", endpoint + 4);
  imgroup_config_set_endpoint(config, own, NULL);
  if (where & 8) imgroup_config_set_backup_endpoint(config, closed_endpoint, NULL);
  imgroup_config_set_proxy(config, "", NULL);
  imgroup_config_set_quota_directory(config, ".", NULL);
  imgroup_config_set_timeout_ms(config, 20, NULL);
  imgroup_config_set_attempt_timeout_ms(config, 10, NULL);
  imgroup_config_set_max_attempts(config, 1 + (where >> 6), NULL);
  code = DO(imgroup_client_new)(config, client, error_out());
  result(code, client ? made : NULL, client != NULL);
  if (client && made) keep(CLIENT, made);
}

static imgroup_call *call(void) {
  call_in_use = handle(CALL);
  imgroup_call_set_timeout_ms(call_in_use, 20, NULL);
  return call_in_use;
}

static void replied(int32_t code, imgroup_response **wanted, imgroup_response *made) {
  result(code, wanted ? made : NULL, wanted != NULL);
  if (wanted && made) {
    keep(RESPONSE, made);
    look_at_response(made);
  }
}

static void ask(int which) {
  imgroup_response *made = (imgroup_response *)(void *)zeros;
  imgroup_response **response = number(1) < 240 ? &made : NULL;
  imgroup_client *client = handle(CLIENT);
  imgroup_call *control = call();
  const char *who = account();
  size_t length, friends_length;
  const char *const *array = names(&length);
  const char *const *friends;
  int32_t code;
  switch (which) {
    case 0: code = DO(imgroup_delete_lists)(client, who, array, length, control, response, error_out()); break;
    case 1:
      friends = names(&friends_length);
      code = DO(imgroup_add_lists)(client, who, array, length, friends, friends_length, control, response,
                                   error_out());
      break;
    default:
      code = DO(imgroup_get_lists)(client, who, array, length, (int32_t)number(1), control, response, error_out());
  }
  replied(code, response, made);
}

static void request(void) {
  imgroup_response *made = (imgroup_response *)(void *)zeros;
  imgroup_response **response = number(1) < 240 ? &made : NULL;
  imgroup_client *client = handle(CLIENT);
  imgroup_call *control = call();
  const char *command = TEXT("v4/sns/friend_get", "v4/sns/friend_delete_all", "v4/im/x", "v4/", "/v4/a/b", "v4/a/b?c");
  const char *body = TEXT("{}", "{\"From_Account\":\"alice\"}", "{\"From_Account\":7}", "[]", "{", " {}");
  size_t length = some_length(body ? strlen(body) : number(1));
  uint32_t flags = some_u32();
  int32_t code = DO(imgroup_request)(client, command, body, length, flags, control, response, error_out());
  replied(code, response, made);
}

static void given_text(int32_t code, char **wanted, char *made) {
  result(code, wanted ? made : NULL, wanted != NULL);
  if (wanted && made) {
    no_secret(made);
    DO(imgroup_string_free)(made);
  }
}

static void client_stats(void) {
  char *made = (char *)(void *)zeros;
  char **text = number(1) < 250 ? &made : NULL;
  imgroup_client *client = handle(CLIENT);
  given_text(DO(imgroup_client_stats)(client, text, error_out()), text, made);
}

static void usersig(void) {
  char *made = (char *)(void *)zeros;
  char **text = number(1) < 250 ? &made : NULL;
  uint32_t sdkappid = some_u32(), ttl = some_u32();
  int64_t issued_at = number(1) < 128 ? 0 : (int64_t)number(8);
  const char *identifier = TEXT("alice", "administrator", "", "\n"), *key = TEXT(SECRET_KEY, SECRET_KEY, "");
  size_t length;
  const uint8_t *userbuf = (const uint8_t *)bytes(number(1), &length);
  if (number(1) > 200) userbuf = NULL;
  length = some_length(length);
  given_text(DO(imgroup_usersig)(sdkappid, identifier, key, ttl, issued_at, userbuf, length, text, error_out()), text,
             made);
}

static void call_new(void) {
  imgroup_call *made = (imgroup_call *)(void *)zeros;
  imgroup_call **control = number(1) < 250 ? &made : NULL;
  int32_t code = DO(imgroup_call_new)(control, error_out());
  result(code, control ? made : NULL, control != NULL);
  if (control && made) keep(CALL, made);
}

static void quota_callback(void) {
  imgroup_config *config = handle(CONFIG);
  uint8_t kind = (uint8_t)number(1);
  /* Given back by `drop` even where the call fails. */
  struct userdata *data = kind < 128 ? userdata() : NULL;
  int32_t code = DO(imgroup_config_set_quota_callback)(config, data && kind < 120 ? acquire : NULL, data,
                                                       data ? drop : NULL, error_out());
  result(code, NULL, 0);
}

static void log_callback(void) {
  imgroup_config *config = handle(CONFIG);
  uint8_t kind = (uint8_t)number(1);
  int32_t level = kind & 1 ? (int32_t)some_u32() : (int32_t)(1 + kind / 2 % 5);
  struct userdata *data = kind < 128 ? userdata() : NULL;
  int32_t code = DO(imgroup_config_set_log_callback)(config, level, data && kind < 120 ? log_line : NULL, data,
                                                     data ? drop : NULL, error_out());
  result(code, NULL, 0);
}

/* A setter of one number or one text. */
#define SETTER(function, type, value)                          \
  do {                                                         \
    void *config_ = handle(CONFIG);                            \
    type value_ = (value);                                     \
    int32_t code_ = DO(function)(config_, value_, error_out()); \
    result(code_, NULL, 0);                                    \
  } while (0)

static double some_share(void) {
  union {
    uint64_t bits;
    double value;
  } any = {number(1) < 128 ? 0x3fe0000000000000 : number(8)};
  return any.value;
}

static const char *path(void) {
  const char *path = TEXT("", "system", ".", "nowhere", "../..");
  /* Devices never end. */
  return path && *path == '/' ? "/" : path;
}

static void set_number_or_text(void) {
  switch (number(1) % 14) {
    case 0: SETTER(imgroup_config_set_region, const char *, TEXT("cn", "sgp", "usa", "", "moon")); break;
    case 1: SETTER(imgroup_config_set_endpoint, const char *, url()); break;
    case 2: SETTER(imgroup_config_set_backup_endpoint, const char *, url()); break;
    case 3: SETTER(imgroup_config_set_ca_file, const char *, path()); break;
    case 4: SETTER(imgroup_config_set_proxy, const char *, url()); break;
    case 5: SETTER(imgroup_config_set_quota_directory, const char *, path()); break;
    case 6: SETTER(imgroup_config_set_quota_redis, const char *, TEXT("redis://a", "")); break;
    case 7: SETTER(imgroup_config_set_timeout_ms, uint32_t, some_u32()); break;
    case 8: SETTER(imgroup_config_set_attempt_timeout_ms, uint32_t, some_u32()); break;
    case 9: SETTER(imgroup_config_set_resolve_timeout_ms, uint32_t, some_u32()); break;
    case 10: SETTER(imgroup_config_set_connect_timeout_ms, uint32_t, some_u32()); break;
    case 11: SETTER(imgroup_config_set_max_attempts, uint32_t, some_u32()); break;
    case 12: SETTER(imgroup_config_set_usersig_ttl_s, uint32_t, some_u32()); break;
    default: SETTER(imgroup_config_set_max_reply_bytes, uint32_t, some_u32());
  }
}

static void set_quota(void) {
  if (number(1) & 1) SETTER(imgroup_config_set_quota, uint32_t, some_u32());
  else SETTER(imgroup_config_set_quota_share, double, some_share());
}

static void set_call(void) {
  imgroup_call *control = handle(CALL);
  uint32_t value = some_u32();
  int32_t code = number(1) & 1 ? DO(imgroup_call_set_timeout_ms)(control, value, error_out())
                               : DO(imgroup_call_set_ignore_missing)(control, (int32_t)value, error_out());
  result(code, NULL, 0);
}

/* ---- jobs, on files of a directory of their own */

/* NULL, or a name in that directory, which may be no text. */
static const char *file(void) {
  const char *name = TEXT("a", "a", "input", "b", "a.spool", "a.results", "none/a", "");
  size_t size;
  char *path, *slash;
  if (!name) return NULL;
  size = strlen(folder) + strlen(name) + 2;
  path = block(size);
  snprintf(path, size, "%s/%s", folder, name);
  for (slash = path + strlen(folder) + 1; (slash = strchr(slash, '/'));) *slash = '_';
  return path;
}

/* Rows, or anything else, in place of any file. */
static void write_file(void) {
  static const char rows[] = "account,list\nalice,Family\nalice,Work\nbob,Gym\n";
  const char *path = file();
  size_t length = sizeof rows - 1;
  const char *content = number(1) < 160 ? rows : bytes(number(1), &length);
  int append = number(1) > 200;
  FILE *stream = path ? fopen(path, append ? "ab" : "wb") : NULL;
  if (!stream) return;
  REQUIRE(fwrite(content, 1, length, stream) == length);
  fclose(stream);
}

static void job_new(void) {
  imgroup_job *made = (imgroup_job *)(void *)zeros;
  imgroup_job **job = number(1) < 250 ? &made : NULL;
  imgroup_client *client = handle(CLIENT);
  int32_t command = number(1) < 240 ? (int32_t)(1 + number(1) % 2) : (int32_t)some_u32();
  const char *journal = file();
  int32_t code = DO(imgroup_job_new)(client, command, journal, job, error_out());
  result(code, job ? made : NULL, job != NULL);
  if (job && made) keep(JOB, made);
}

static double began;

static double now_s(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* Ends what would take too long, and what the program wants to end. */
static void progress(void *pointer, const imgroup_job *job) {
  struct userdata *data = pointer;
  uint8_t answer = data->answers[data->next++ % sizeof data->answers];
  (void)DO(imgroup_job_count)(job, answer);
  if (answer >= 250 || now_s() - began > 0.2) DO(imgroup_job_cancel)((imgroup_job *)job);
  else if (answer >= 240) DO(imgroup_job_pause)((imgroup_job *)job);
}

static void job_set(void) {
  imgroup_job *job = handle(JOB);
  const char *path, *format;
  int32_t code;
  uint32_t value;
  switch (number(1) % 9) {
    case 0:
      value = some_u32();
      code = DO(imgroup_job_set_partition)(job, value, some_u32(), error_out());
      break;
    case 1: code = DO(imgroup_job_set_max_deletes)(job, some_u32(), error_out()); break;
    case 2: code = DO(imgroup_job_set_max_failures)(job, some_share(), error_out()); break;
    case 3: code = DO(imgroup_job_set_connections)(job, some_u32(), error_out()); break;
    case 4: code = DO(imgroup_job_set_give_up_ms)(job, some_u32(), error_out()); break;
    case 5:
      code = DO(imgroup_job_set_progress)(job, number(1) & 1 ? progress : NULL, userdata(), drop, error_out());
      break;
    default:
      path = file();
      format = number(1) < 128 ? NULL : TEXT("csv", "tsv", "jsonl", "xml");
      code = DO(imgroup_job_set_input_file)(job, path, format, error_out());
  }
  result(code, NULL, 0);
}

static void job_push(void) {
  imgroup_job *job = handle(JOB);
  const char *who = account();
  const char *list = TEXT("Family", "Work", "Gym", "", "名单");
  int32_t code = DO(imgroup_job_push)(job, who, list, error_out());
  result(code, NULL, 0);
}

/* Few threads, and not for long. */
static void job_run(void) {
  imgroup_job *job = handle(JOB);
  int32_t code;
  imgroup_job_set_connections(job, 1 + (uint32_t)number(1) % 4, NULL);
  imgroup_job_set_give_up_ms(job, 100, NULL);
  imgroup_job_set_progress(job, progress, userdata(), drop, NULL);
  /* A job's requests have no call, and the last one may be gone. */
  call_in_use = NULL;
  began = now_s();
  code = DO(imgroup_job_run)(job, error_out());
  result(code, NULL, 0);
}

static void job_results(void) {
  imgroup_job *job = handle(JOB);
  int is_job = kind_of(job) == JOB;
  const char *word = DO(imgroup_job_stopped_by)(job);
  uint64_t rows = 7, *out_rows = number(1) < 200 ? &rows : NULL;
  char *made = (char *)(void *)zeros;
  const char *path = file(), *format;
  int32_t code = 0;
  if (word) REQUIRE(is_job && strlen(word) < 16);
  REQUIRE(DO(imgroup_job_count)(job, IMGROUP_JOB_ROWS) == 0 || is_job);
  switch (number(1) % 4) {
    case 0: given_text(DO(imgroup_job_report)(job, &made, error_out()), &made, made); return;
    case 1: code = DO(imgroup_job_write_report)(job, path, error_out()); break;
    case 2:
      format = number(1) < 128 ? NULL : TEXT("csv", "tsv", "jsonl", "xml");
      code = DO(imgroup_job_write_failed)(job, path, format, out_rows, error_out());
      break;
    default: code = DO(imgroup_job_write_lists)(job, path, out_rows, error_out());
  }
  if (code != IMGROUP_OK) REQUIRE(rows == 0 || rows == 7);
  result(code, NULL, 0);
}

static void job_end(void) {
  imgroup_job *job = handle(JOB);
  if (number(1) & 1) DO(imgroup_job_pause)(job);
  else DO(imgroup_job_cancel)(job);
}

static void names_of_codes(void) {
  int32_t value = number(1) < 128 ? (int32_t)number(4) : -(int32_t)number(1);
  REQUIRE(*DO(imgroup_code_name)(value));
  REQUIRE(!*DO(imgroup_class_name)(DO(imgroup_code_class)(value)) == (value == 0));
  REQUIRE(DO(imgroup_outcome_name)(value));
  REQUIRE(strlen(DO(imgroup_version)()) > 4 && DO(imgroup_version_number)() == IMGROUP_VERSION_NUMBER);
}

static void free_one(void) {
  int kind = (int)(number(1) % KINDS), place;
  void *pointer = handle(kind);
  int real = kind_of(pointer);
  free_handle(kind, pointer);
  /* A handle of another type is left alone by a free that is not its own. */
  for (place = 0; place < PLACES && real == kind; place++) {
    if (handles[kind][place] == pointer) handles[kind][place] = NULL;
  }
}

void fuzz_c_api(const uint8_t *data, size_t size) {
  int kind, place, steps, runs = 0;
  begin();
  empty_folder();
  at = data;
  end = data + size;
  reply_length = 0;
  manners = KEEP;
  /* What every program begins with, so that a short one does something. */
  imgroup_config_new(1400000000, "administrator", SECRET_KEY, (imgroup_config **)&handles[CONFIG][0], NULL);
  imgroup_config_set_quota_callback(handles[CONFIG][0], acquire, userdata(), drop, NULL);
  for (steps = 0; at < end && steps < 40; steps++) {
    switch (number(1) % 32) {
      case 0: config_new(); break;
      case 1: config_from_env(); break;
      case 2: case 3: set_number_or_text(); break;
      case 4: set_quota(); break;
      case 5: quota_callback(); break;
      case 6: log_callback(); break;
      case 7: case 8: client_new(); break;
      case 9: case 10: set_reply(); break;
      case 11: case 12: ask(0); break;
      case 13: ask(1); break;
      case 14: ask(2); break;
      case 15: request(); break;
      case 16: client_stats(); break;
      case 17: DO(imgroup_client_shutdown)(handle(CLIENT)); break;
      case 18: call_new(); break;
      case 19: set_call(); break;
      case 20: number(1) & 1 ? DO(imgroup_call_cancel)(handle(CALL)) : DO(imgroup_call_reset)(handle(CALL)); break;
      case 21: number(1) & 1 ? look_at_error(handle(ERROR)) : look_at_response(handle(RESPONSE)); break;
      case 22: number(1) & 1 ? usersig() : names_of_codes(); break;
      case 23: write_file(); break;
      case 24: case 25: job_new(); break;
      case 26: job_set(); break;
      case 27: job_push(); break;
      case 28: if (runs++ < 2) job_run(); break;
      case 29: job_results(); break;
      case 30: job_end(); break;
      default: free_one();
    }
    free_blocks();
  }
  for (kind = 0; kind < KINDS; kind++) {
    for (place = 0; place < PLACES; place++) {
      free_handle(kind, handles[kind][place]);
      handles[kind][place] = NULL;
    }
  }
  REQUIRE(userdata_alive == 0);
}
