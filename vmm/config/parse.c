/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * parse.c - values from text by their keys' rules, files of name=value lines, and nearest names.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include <vmmapi.h>

#include "../error.h"
#include "config.h"
#include "json.h"

#define	FILE_MAX	(1024 * 1024)	/* bytes of a configuration file */

/* What of a value goes into a sentence. */
#define	SHOW		"%.64s%s"
#define	SHOWN(text)	(text), strlen(text) > 64 ? "..." : ""

/* A size as people write it: the largest unit without a remainder. */
static const char *
size_text(uint64_t size, char buf[32])
{
	static const char units[] = "KMGT";
	int unit = -1;

	while (size != 0 && size % 1024 == 0 && unit < 3) {
		size /= 1024;
		unit++;
	}
	if (unit < 0)
		(void)snprintf(buf, 32, "%" PRIu64, size);
	else
		(void)snprintf(buf, 32, "%" PRIu64 "%c", size, units[unit]);
	return (buf);
}

const char *
config_default_text(const struct config_key *key, char buf[32])
{
	if (key->def == config_required)
		return (NULL);
	switch (key->type) {
	case CONFIG_INT:
		(void)snprintf(buf, 32, "%" PRId64, key->ndef);
		return (buf);
	case CONFIG_BOOL:
		return (key->ndef != 0 ? "true" : "false");
	case CONFIG_SIZE:
	case CONFIG_MEMSIZE:
		return (size_text((uint64_t)key->ndef, buf));
	default:
		return (key->def);
	}
}

const char *
config_rule_text(const struct config_key *key, char *buf, size_t size)
{
	char lo[32], hi[32];
	size_t len;

	switch (key->type) {
	case CONFIG_STRING:
		if (key->max < CONFIG_VALUE_MAX)
			(void)snprintf(buf, size, "a string of at most %" PRId64 " bytes", key->max);
		else
			(void)snprintf(buf, size, "a string");
		break;
	case CONFIG_PATH:
		(void)snprintf(buf, size, "a path");
		break;
	case CONFIG_INT:
		if (key->max == INT64_MAX)
			(void)snprintf(buf, size, "an integer from %" PRId64, key->min);
		else
			(void)snprintf(buf, size, "an integer from %" PRId64 " to %" PRId64, key->min, key->max);
		break;
	case CONFIG_BOOL:
		(void)snprintf(buf, size, "true or false");
		break;
	case CONFIG_SIZE:
	case CONFIG_MEMSIZE:
		(void)snprintf(buf, size, "a size from %s to %s%s", size_text((uint64_t)key->min, lo),
		    size_text((uint64_t)key->max, hi),
		    key->type == CONFIG_MEMSIZE ? " (a bare number counts MiB)" : "");
		break;
	case CONFIG_ENUM:
		(void)snprintf(buf, size, "one of");
		for (const char *const *c = key->choices; *c != NULL; c++) {
			len = strlen(buf);
			(void)snprintf(buf + len, size - len, "%s %s", c == key->choices ? "" : ",", *c);
		}
		break;
	case CONFIG_MAC:
		(void)snprintf(buf, size, "a unicast MAC address");
		break;
	case CONFIG_CPUSET:
		(void)snprintf(buf, size, "a list of CPUs such as 0-3,8, below %d", CPU_SETSIZE);
		break;
	case CONFIG_UUID:
		(void)snprintf(buf, size, "a UUID");
		break;
	}
	return (buf);
}

static int
breaks_rule(const struct config_key *key, const char *text)
{
	char rule[256];

	return (vmm_fail(EINVAL, "'" SHOW "' is not %s", SHOWN(text), config_rule_text(key, rule, sizeof(rule))));
}

/* Digits, then one optional unit and nothing else. */
static int
parse_size(const char *text, uint64_t *size)
{
	static const char units[] = "kmgt";
	unsigned long long n;
	const char *unit;
	unsigned shift;
	char *end;

	if (!isdigit((unsigned char)text[0]))
		return (-1);
	errno = 0;
	n = strtoull(text, &end, 0);
	if (errno != 0)
		return (-1);
	if (*end != '\0') {
		unit = strchr(units, tolower((unsigned char)*end));
		if (unit == NULL || end[1] != '\0')
			return (-1);
		shift = 10 * (unsigned)(unit - units + 1);
		if (n > UINT64_MAX >> shift)
			return (-1);
		n <<= shift;
	}
	*size = n;
	return (0);
}

static int
parse_bool(const char *text, bool *b)
{
	static const char *const yes[] = { "true", "on", "yes", "1" };
	static const char *const no[] = { "false", "off", "no", "0" };

	for (unsigned i = 0; i < 4; i++) {
		if (strcasecmp(text, yes[i]) == 0 || strcasecmp(text, no[i]) == 0) {
			*b = strcasecmp(text, yes[i]) == 0;
			return (0);
		}
	}
	return (-1);
}

static int
hex_byte(const char *p, uint8_t *byte)
{
	static const char digits[] = "0123456789abcdef";
	const char *hi, *lo;

	if (p[0] == '\0' || p[1] == '\0')
		return (-1);
	hi = strchr(digits, tolower((unsigned char)p[0]));
	lo = strchr(digits, tolower((unsigned char)p[1]));
	if (hi == NULL || lo == NULL)
		return (-1);
	*byte = (uint8_t)((hi - digits) << 4 | (lo - digits));
	return (0);
}

/* IEEE 802: bit 0 of the first byte marks a group address; an address of zeros is nobody's. */
static int
parse_mac(const char *text, uint8_t mac[6])
{
	unsigned any = 0;

	if (strlen(text) != 17)
		return (-1);
	for (unsigned i = 0; i < 6; i++) {
		if (hex_byte(text + 3 * i, &mac[i]) != 0 || (i < 5 && text[3 * i + 2] != ':'))
			return (-1);
		any |= mac[i];
	}
	return (any == 0 || (mac[0] & 1) != 0 ? -1 : 0);
}

static int
parse_uuid(const char *text, uint8_t uuid[16])
{
	unsigned n = 0, i = 0;

	if (strlen(text) != 36)
		return (-1);
	while (n < 16) {
		if (i == 8 || i == 13 || i == 18 || i == 23) {
			if (text[i++] != '-')
				return (-1);
		}
		if (hex_byte(text + i, &uuid[n++]) != 0)
			return (-1);
		i += 2;
	}
	return (0);
}

static int
parse_cpuset(const char *text, cpu_set_t *cpus)
{
	unsigned long first, last;
	const char *p = text;
	char *end;

	CPU_ZERO(cpus);
	for (;;) {
		if (!isdigit((unsigned char)*p))
			return (-1);
		first = last = strtoul(p, &end, 10);
		if (*end == '-') {
			p = end + 1;
			if (!isdigit((unsigned char)*p))
				return (-1);
			last = strtoul(p, &end, 10);
		}
		if (first > last || last >= CPU_SETSIZE)
			return (-1);
		for (unsigned long cpu = first; cpu <= last; cpu++)
			CPU_SET(cpu, cpus);
		if (*end == '\0')
			return (0);
		if (*end != ',')
			return (-1);
		p = end + 1;
	}
}

static const char *
choice_name(const void *arg, size_t i)
{
	const char *const *choices = arg;

	return (choices[i]);
}

static int
parse_enum(const struct config_key *key, const char *text, unsigned *choice)
{
	const char *near;
	char rule[256];
	unsigned n;

	for (n = 0; key->choices[n] != NULL; n++) {
		if (strcmp(text, key->choices[n]) == 0) {
			*choice = n;
			return (0);
		}
	}
	near = config_nearest(text, n, choice_name, key->choices);
	if (near == NULL)
		return (breaks_rule(key, text));
	return (vmm_fail(EINVAL, "'" SHOW "' is not %s; did you mean '%s'?", SHOWN(text),
	    config_rule_text(key, rule, sizeof(rule)), near));
}

int
config_parse_value(const struct config_key *key, const char *text, struct config_value *val)
{
	size_t len = strlen(text), memsize;
	char *end;

	val->key = key;
	val->text = text;
	switch (key->type) {
	case CONFIG_STRING:
	case CONFIG_PATH:
		if (len < (uint64_t)key->min || len > (uint64_t)key->max)
			return (breaks_rule(key, text));
		return (0);
	case CONFIG_INT:
		errno = 0;
		val->u.i = strtoll(text, &end, 0);
		if (len == 0 || isspace((unsigned char)text[0]) || *end != '\0' || errno != 0 ||
		    val->u.i < key->min || val->u.i > key->max)
			return (breaks_rule(key, text));
		return (0);
	case CONFIG_BOOL:
		return (parse_bool(text, &val->u.b) == 0 ? 0 : breaks_rule(key, text));
	case CONFIG_SIZE:
		if (parse_size(text, &val->u.size) != 0 || val->u.size < (uint64_t)key->min ||
		    val->u.size > (uint64_t)key->max)
			return (breaks_rule(key, text));
		return (0);
	case CONFIG_MEMSIZE:
		if (!isdigit((unsigned char)text[0]) || vm_parse_memsize(text, &memsize) != 0 ||
		    memsize < (uint64_t)key->min || memsize > (uint64_t)key->max)
			return (breaks_rule(key, text));
		val->u.size = memsize;
		return (0);
	case CONFIG_ENUM:
		return (parse_enum(key, text, &val->u.choice));
	case CONFIG_MAC:
		return (parse_mac(text, val->u.mac) == 0 ? 0 : breaks_rule(key, text));
	case CONFIG_CPUSET:
		return (parse_cpuset(text, &val->u.cpus) == 0 ? 0 : breaks_rule(key, text));
	case CONFIG_UUID:
		return (parse_uuid(text, val->u.uuid) == 0 ? 0 : breaks_rule(key, text));
	}
	return (vmm_fail(EINVAL, "key '%s' has no known type", key->name));
}

int
config_set_text(struct config *cfg, const char *text, const struct config_origin *origin)
{
	char name[CONFIG_NAME_MAX + 1], where[512];
	const char *eq = strchr(text, '=');

	if (eq == NULL)
		return (vmm_fail(EINVAL, "%s: '" SHOW "' is not of the form name=value",
		    config_origin_text(origin, where, sizeof(where)), SHOWN(text)));
	if ((size_t)(eq - text) > CONFIG_NAME_MAX)
		return (vmm_fail(E2BIG, "%s: the name '%.64s...' is longer than %d bytes",
		    config_origin_text(origin, where, sizeof(where)), text, CONFIG_NAME_MAX));
	memcpy(name, text, (size_t)(eq - text));
	name[eq - text] = '\0';
	return (config_set(cfg, name, eq + 1, origin));
}

int
config_load_text(struct config *cfg, const char *what, const char *text, size_t len)
{
	struct config_origin origin = { .source = CONFIG_FROM_FILE, .what = what };
	const char *p = text, *end = text + len, *nl;
	char *line;
	int r = 0;

	if (config_is_json(text, len))
		return (config_load_json(cfg, what, text, len));
	while (p < end && r == 0) {
		origin.number++;
		nl = memchr(p, '\n', (size_t)(end - p));
		if (nl == NULL)
			nl = end;
		if (memchr(p, '\0', (size_t)(nl - p)) != NULL)
			return (vmm_fail(EINVAL, "%s:%u: the line has a zero byte", what, origin.number));
		if (nl != p && *p != '#') {
			line = strndup(p, (size_t)(nl - p));
			if (line == NULL)
				return (vmm_fail(ENOMEM, "%s: out of memory", what));
			r = config_set_text(cfg, line, &origin);
			free(line);
		}
		p = nl + 1;
	}
	return (r);
}

int
config_load_file(struct config *cfg, const char *path)
{
	char *buf;
	size_t len = 0;
	ssize_t n;
	int fd, r, error;

	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return (vmm_fail_sys(errno, "cannot open '%s'", path));
	buf = malloc(FILE_MAX + 1);
	if (buf == NULL) {
		close(fd);
		return (vmm_fail(ENOMEM, "%s: out of memory", path));
	}
	while ((n = read(fd, buf + len, FILE_MAX + 1 - len)) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			break;
		len += (size_t)n;
		if (len > FILE_MAX)
			break;
	}
	error = errno;
	close(fd);
	if (n < 0)
		r = vmm_fail_sys(error, "cannot read '%s'", path);
	else if (len > FILE_MAX)
		r = vmm_fail(EFBIG, "%s: longer than %d bytes", path, FILE_MAX);
	else
		r = config_load_text(cfg, path, buf, len);
	error = errno;
	free(buf);
	errno = error;
	return (r);
}

static unsigned
min3(unsigned a, unsigned b, unsigned c)
{
	a = a < b ? a : b;
	return (a < c ? a : c);
}

/* Optimal string alignment: insert, delete, replace, swap neighbours, each for 1. */
unsigned
config_distance(const char *a, const char *b)
{
	unsigned row[3][CONFIG_NAME_MAX + 1];
	unsigned *before = row[0], *last = row[1], *cur = row[2], *swap, cost;
	size_t la = strnlen(a, CONFIG_NAME_MAX), lb = strnlen(b, CONFIG_NAME_MAX);

	for (size_t j = 0; j <= lb; j++) {
		before[j] = 0;
		last[j] = (unsigned)j;
	}
	for (size_t i = 1; i <= la; i++) {
		cur[0] = (unsigned)i;
		for (size_t j = 1; j <= lb; j++) {
			cost = a[i - 1] != b[j - 1];
			cur[j] = min3(last[j] + 1, cur[j - 1] + 1, last[j - 1] + cost);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
			    before[j - 2] + 1 < cur[j])
				cur[j] = before[j - 2] + 1;
		}
		swap = before;
		before = last;
		last = cur;
		cur = swap;
	}
	return (last[lb]);
}

const char *
config_nearest(const char *word, size_t n, const char *(*name)(const void *arg, size_t i), const void *arg)
{
	/* More than a third wrong is another word. */
	unsigned limit = 1 + (unsigned)(strnlen(word, CONFIG_NAME_MAX) / 3), best = limit + 1, d;
	const char *found = NULL;

	for (size_t i = 0; i < n; i++) {
		d = config_distance(word, name(arg, i));
		if (d < best) {
			best = d;
			found = name(arg, i);
		}
	}
	return (found);
}
