// A reader of JSON, as much as a route's settings take. They are valid: the
// gateway wrote them. A value that is not there has no text.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

typedef struct {
  const char *at, *end;
} json;

static const json JSON_NOTHING = {NULL, NULL};

static inline json json_text(const void *text, size_t length) {
  return (json){text, (const char *)text + length};
}

static inline bool json_is_space(char c) {
  return c == ' ' || c == '\n' || c == '\r' || c == '\t' || c == ',' || c == ':';
}

static inline const char *json_skip_space(const char *at, const char *end) {
  while (at < end && json_is_space(*at)) at++;
  return at;
}

// The value that begins here, whole.
static inline json json_value(const char *at, const char *end) {
  at = json_skip_space(at, end);
  json value = {at, at};
  int depth = 0;
  bool in_string = false;
  for (; at < end; at++) {
    if (in_string) {
      if (*at == '\\') at++;
      else if (*at == '"') in_string = false;
    } else if (*at == '"') {
      in_string = true;
    } else if (*at == '{' || *at == '[') {
      depth++;
    } else if (*at == '}' || *at == ']') {
      if (depth == 0) break;
      depth--;
    } else if (depth == 0 && json_is_space(*at)) {
      break;
    }
    if (depth == 0 && !in_string && (*at == '"' || *at == '}' || *at == ']')) {
      at++;
      break;
    }
  }
  value.end = at < end ? at : end;
  return value;
}

// Steps through an array or an object: `at` is where to look, and is moved.
// An object gives its names and its values in turn.
static inline bool json_next(json whole, const char **at, json *item) {
  if (whole.at == NULL || whole.at == whole.end) return false;
  if (*at == NULL) *at = whole.at + 1;
  *item = json_value(*at, whole.end - 1);
  *at = item->end;
  return item->at < item->end;
}

// Whether a value is this string. (None with escapes in it is.)
static inline bool json_is(json value, const void *text, size_t length) {
  return value.at != NULL && (size_t)(value.end - value.at) == length + 2 && *value.at == '"' &&
         memcmp(value.at + 1, text, length) == 0;
}

// The value an object has under this name.
static inline json json_member(json object, const char *name) {
  const char *at = NULL;
  for (json key, value; json_next(object, &at, &key);) {
    if (!json_next(object, &at, &value)) break;
    if (json_is(key, name, strlen(name))) return value;
  }
  return JSON_NOTHING;
}

// A whole number that is not negative.
static inline unsigned json_number(json value, unsigned otherwise) {
  if (value.at == NULL || *value.at < '0' || *value.at > '9') return otherwise;
  unsigned number = 0;
  for (const char *at = value.at; at < value.end && *at >= '0' && *at <= '9'; at++)
    number = number * 10 + (unsigned)(*at - '0');
  return number;
}
