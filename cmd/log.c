/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * log.c - hyve log: what the process of a VM had to say.
 */
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <jansson.h>

#include "cmd.h"
#include "control/qmp_table.h"
#include "error.h"
#include "log.h"
#include "log_file.h"
#include "options.h"
#include "vmdir.h"

static const struct timespec tick = { 0, 200000000 };

/* A line that has come in part; what of it with --json alone. */
static struct { bool json, half; char text[16384]; size_t len; } line;

/* If text begins with a level and a colon, what is behind them; *level is that level, "info" otherwise. */
static char *
skip_level(char *text, const char **level)
{
	*level = log_level_name(LOG_LEVEL_INFO);
	for (int i = 0; i < LOG_LEVEL_LAST; i++) {
		const char *name = log_level_name((enum log_level)i);
		size_t len = strlen(name);

		if (strncmp(text, name, len) == 0 && strncmp(text + len, ": ", 2) == 0) {
			*level = name;
			return (text + len + 2);
		}
	}
	return (text);
}

/* The object of a line of text: TIME hyve: LEVEL: PART: TEXT, or without level and part what the process says itself; else something else said it. */
static json_t *
parse_line(char *text)
{
	static const char mark[] = " hyve: ";
	char *rest = strstr(text, mark), *part, *end;
	const char *level;
	struct tm tm = { 0 };
	json_t *object = text[0] == '{' ? json_loads(text, 0, NULL) : NULL;

	if (object != NULL)
		return (object);
	end = strptime(text, "%Y-%m-%dT%H:%M:%SZ", &tm);
	if (rest == NULL || end != rest)
		return (json_pack("{s:n, s:s, s:n, s:o}", "time", "level", log_level_name(LOG_LEVEL_INFO), "part", "text", qmp_text(text)));
	*rest = '\0';
	part = rest + sizeof(mark) - 1;
	rest = skip_level(part, &level);
	end = rest != part ? strstr(rest, ": ") : NULL;
	if (end == NULL)
		return (json_pack("{s:s, s:s, s:s, s:o}", "time", text, "level", level, "part", "hyve", "text", qmp_text(rest)));
	*end = '\0';
	return (json_pack("{s:s, s:s, s:o, s:o}", "time", text, "level", level, "part", qmp_text(rest), "text", qmp_text(end + 2)));
}

/* The line is whole. */
static void
end_line(void)
{
	json_t *object;

	line.text[line.len] = '\0';
	line.len = 0;
	object = parse_line(line.text);
	if (object == NULL)
		return;
	(void)json_dumpf(object, stdout, JSON_COMPACT);
	putchar('\n');
	json_decref(object);
}

/* Print them as they are, or as objects. */
static int
put(const char *buf, size_t len)
{
	line.half = len != 0 ? buf[len - 1] != '\n' : line.half;
	if (!line.json)
		return (fwrite(buf, 1, len, stdout) == len ? 0 : vmm_fail_sys(errno, "standard output"));
	for (size_t i = 0; i < len; i++) {
		if (buf[i] != '\n')
			line.text[line.len++] = buf[i];
		if (buf[i] == '\n' || line.len == sizeof(line.text) - 1)
			end_line();
	}
	return (ferror(stdout) == 0 ? 0 : vmm_fail(EIO, "standard output takes no more"));
}

/* Print to the end of the file; -1 with a sentence. */
static int
copy(int fd, const char *path)
{
	char buf[16384];
	ssize_t n;

	while ((n = read(fd, buf, sizeof(buf))) > 0) {
		if (put(buf, (size_t)n) != 0)
			return (-1);
	}
	if (n < 0)
		return (vmm_fail_sys(errno, "'%s'", path));
	return (fflush(stdout) == 0 ? 0 : vmm_fail_sys(errno, "standard output"));
}

/* No more comes of this file: a line that its process could not finish ends here. */
static int
end_file(bool last)
{
	if (line.json && line.len != 0)
		end_line();
	else if (!line.json && line.half && !last)
		putchar('\n');
	line.half = false;
	return (fflush(stdout) == 0 ? 0 : vmm_fail_sys(errno, "standard output"));
}

/* Print what was put aside behind the file that was read, if that is not it itself. */
static int
copy_missed(int old, int read, const char *path)
{
	struct stat st, was;

	if (old < 0 || fstat(old, &st) != 0 || (read >= 0 && fstat(read, &was) == 0 && was.st_ino == st.st_ino))
		return (0);
	return (copy(old, path) == 0 ? end_file(false) : -1);
}

/* Two turns between two looks are seen by both files; of more there are logs that nobody can read any more. */
static void
tell_lost(int read, int next)
{
	unsigned was = log_file_number(read), is = log_file_number(next), n = is > was ? is - was - 1 : 0;

	if (n != 0)
		fprintf(stderr, "hyve: %u log%s put aside unread\n", n, n == 1 ? " was" : "s were");
}

/* Another file is the log now: print the rest of the one that was, what came between, and go on with it. */
static int
turn(const struct vmdir *dir, int *fd, const char *path)
{
	int old, now, r = 0;

	/* None is there while yet another one is begun: at the next look. */
	if (log_file_read(dir->fd, VMDIR_LOG, &old, &now) == 0) {
		r = copy(*fd, path) == 0 && end_file(false) == 0 ? 0 : -1;
		tell_lost(*fd, old >= 0 ? old : now);
		r = r == 0 ? copy_missed(old, *fd, path) : -1;
		close(*fd);
		*fd = now;
	}
	if (old >= 0)
		close(old);
	return (r);
}

/* One that could not be put aside has been emptied: go on at its beginning. */
static void
rewind_emptied(int fd)
{
	struct stat st;

	if (fstat(fd, &st) != 0 || st.st_size >= lseek(fd, 0, SEEK_CUR))
		return;
	fprintf(stderr, "hyve: the log could not be put aside and was emptied; what was not read yet is lost\n");
	(void)lseek(fd, 0, SEEK_SET);
}

/*
 * Go on as the file grows, with the new one where it was put aside, until a VM that has run does not run any more.  known: the bytes that it had at
 * first, -1: it was not there.  Only a VM's process writes to it, so one has run where there is more, also if no look has met it: a reader whose
 * standard output takes nothing for long sees a VM again when it is over.
 */
static int
follow(const struct vmdir *dir, int *fd, const char *path, off_t known)
{
	struct vmdir_state state;
	struct stat st, now;
	bool ran = known < 0;

	for (;;) {
		rewind_emptied(*fd);
		/* In this order: what was written before the end is printed. */
		if (vmdir_state(dir, &state) != 0 || copy(*fd, path) != 0)
			return (-1);
		if (fstat(*fd, &st) == 0 && fstatat(dir->fd, VMDIR_LOG, &now, 0) == 0 && st.st_ino != now.st_ino) {
			if (turn(dir, fd, path) != 0)
				return (-1);
			ran = true;
			continue;
		}
		if (ran && !state.running)
			return (0);
		/* Whose line is new may run now, though it did not when it was asked for. */
		ran |= state.running || lseek(*fd, 0, SEEK_CUR) > known;
		(void)nanosleep(&tick, NULL);
	}
}

int
cmd_log(const struct verb *verb, int argc, char **argv)
{
	static const struct own_option own[] = {
		{ "follow", NULL, 'f', "go on until the VM ends; one that does not run is waited for" },
		{ "json", NULL, 'j', "each line as an object of JSON, whatever the VM's log.format is" },
		{ NULL, NULL, 0, NULL },
	};
	char found[16], path[PATH_MAX];
	struct vmdir *dir;
	const char *name;
	off_t known = 0;
	bool following;
	struct stat st;
	int code, old, fd;

	if (!options_name(verb, own, argc, argv, false, &name, found, &code))
		return (code);
	dir = vmdir_open(name);
	if (dir == NULL)
		return (cmd_fail(1, "%s", vmm_errmsg()));
	line.json = strchr(found, 'j') != NULL;
	following = strchr(found, 'f') != NULL;
	(void)vmdir_file(dir, VMDIR_LOG, path);
	/* Of a VM that is there and was never started. */
	while (log_file_read(dir->fd, VMDIR_LOG, &old, &fd) != 0 && errno == ENOENT && following &&
	    faccessat(dir->fd, VMDIR_CONF, F_OK, 0) == 0) {
		if (old >= 0)
			close(old);
		known = -1;
		(void)nanosleep(&tick, NULL);
	}
	if (fd >= 0 && known == 0 && fstat(fd, &st) == 0)
		known = st.st_size;
	if (fd < 0 && errno == ENOENT && old < 0)
		code = cmd_fail(1, "VM '%s' has no log: it has not been started yet", name);
	else if (fd < 0 && errno != ENOENT)
		code = cmd_fail(1, "'%s': %s", path, strerror(errno));
	else {
		/* Whose process died as it put one aside has that one alone. */
		code = copy_missed(old, -1, path) == 0 && (fd < 0 || (following ? follow(dir, &fd, path, known) : copy(fd, path)) == 0) &&
		    end_file(true) == 0 ? 0 : cmd_fail(1, "%s", vmm_errmsg());
		if (fd >= 0)
			close(fd);
	}
	if (old >= 0)
		close(old);
	vmdir_close(dir);
	return (code);
}
