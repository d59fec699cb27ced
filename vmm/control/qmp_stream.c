/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * qmp_stream.c - JSON values in a stream of bytes.
 */
#include <stdlib.h>
#include <string.h>

#include "qmp_stream.h"

#define	FIRST_SIZE	256U

void
qmp_stream_next(struct qmp_stream *s)
{
	free(s->buf);
	*s = (struct qmp_stream){ .max = s->max };
}

bool
qmp_stream_open(const struct qmp_stream *s)
{
	return (s->depth != 0 && !s->dropping);
}

/* A byte that is nowhere in JSON text: in a string all control characters are, elsewhere those that are no white space. */
static bool
is_lexical_error(const struct qmp_stream *s, unsigned char c)
{
	if (c == 0xff)
		return (true);
	return (c < 0x20 && (s->string || (c != '\t' && c != '\n' && c != '\r')));
}

/* Keep a byte.  NULL, or why that cannot be. */
static const char *
keep(struct qmp_stream *s, char c)
{
	if (s->len == s->max)
		return ("it is longer than a request may be");
	if (s->len == s->size) {
		size_t size = s->size == 0 ? FIRST_SIZE : s->size * 2;
		char *buf = realloc(s->buf, size < s->max ? size : s->max);

		if (buf == NULL)
			return ("there is no memory for it");
		s->buf = buf;
		s->size = size < s->max ? size : s->max;
	}
	s->buf[s->len++] = c;
	return (NULL);
}

/* One byte of a value that has begun, or begins here.  true: it was the last. */
static bool
step(struct qmp_stream *s, char c)
{
	if (s->escape)
		s->escape = false;
	else if (s->string && c == '\\')
		s->escape = true;
	else if (c == '"')
		s->string = !s->string;
	else if (!s->string && (c == '{' || c == '['))
		s->depth++;
	else if (!s->string && (c == '}' || c == ']'))
		s->depth--;
	return (s->depth == 0);
}

static enum qmp_stream_result
byte(struct qmp_stream *s, char c, const char **why)
{
	bool told = s->dropping || s->skipping;

	if (s->skipping && (c == '\n' || is_lexical_error(s, (unsigned char)c))) {
		s->skipping = false;
		return (QMP_STREAM_MORE);
	}
	if (s->skipping)
		return (QMP_STREAM_MORE);
	if (is_lexical_error(s, (unsigned char)c)) {
		*why = s->string ? "a string does not end in its line, or has a control character in it" : "there is a control character in it";
		qmp_stream_next(s);
		return (told ? QMP_STREAM_MORE : QMP_STREAM_BAD);
	}
	if (s->depth == 0) {
		if (c == ' ' || c == '\t' || c == '\n' || c == '\r')
			return (QMP_STREAM_MORE);
		if (c != '{' && c != '[') {
			s->skipping = true;
			*why = "it does not begin with a '{'";
			return (QMP_STREAM_BAD);
		}
	}
	if (!s->dropping && (*why = keep(s, c)) != NULL) {
		free(s->buf);
		s->buf = NULL;
		s->len = s->size = 0;
		s->dropping = true;
		if (step(s, c))
			qmp_stream_next(s);
		return (QMP_STREAM_BAD);
	}
	if (!step(s, c))
		return (QMP_STREAM_MORE);
	if (!told)
		return (QMP_STREAM_VALUE);
	qmp_stream_next(s);
	return (QMP_STREAM_MORE);
}

enum qmp_stream_result
qmp_stream_feed(struct qmp_stream *s, const char *bytes, size_t n, size_t *used, const char **why)
{
	enum qmp_stream_result r = QMP_STREAM_MORE;

	for (*used = 0; *used < n && r == QMP_STREAM_MORE; ++*used)
		r = byte(s, bytes[*used], why);
	return (r);
}
