/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * qmp_stream.h - finds where JSON objects and arrays begin and end in a stream of bytes.
 *
 * QMP is a stream of JSON values with any white space between them: not lines, though most clients send such.  This looks at brackets and
 * strings only, as bytes come, so that a request can be split anywhere and one that is too long is known without being kept.
 *
 * What begins no object and no array is an error, and the rest of its line goes with it.  Control characters that JSON does not have, and
 * the byte FFH, are an error after which a value begins anew: a client that does not know where the other side is sends one of these.
 */
#ifndef _HYVE_QMP_STREAM_H_
#define	_HYVE_QMP_STREAM_H_

#include <stdbool.h>
#include <stddef.h>

/* Zeroed but for max is a stream at its beginning. */
struct qmp_stream {
	size_t		 max;		/* bytes of a value */
	char		*buf;		/* of the value so far */
	size_t		 len, size;
	size_t		 depth;		/* brackets that are open */
	bool		 string, escape;	/* in a string; behind its backslash */
	bool		 dropping;	/* the value was refused already: its end is looked for */
	bool		 skipping;	/* the line is */
};

enum qmp_stream_result {
	QMP_STREAM_MORE,		/* all bytes were used */
	QMP_STREAM_VALUE,		/* buf and len have one, until qmp_stream_next() */
	QMP_STREAM_BAD,			/* *why says what is wrong; go on with the bytes that are left */
};

/* Take bytes up to the end of a value or an error; *used is how many. */
enum qmp_stream_result qmp_stream_feed(struct qmp_stream *s, const char *bytes, size_t n, size_t *used, const char **why);
/* Done with the value; also gives back all memory, in any state. */
void	qmp_stream_next(struct qmp_stream *s);
/* Whether bytes of a value were taken whose end has not come. */
bool	qmp_stream_open(const struct qmp_stream *s);

#endif /* _HYVE_QMP_STREAM_H_ */
