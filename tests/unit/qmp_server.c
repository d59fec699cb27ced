/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * qmp_server.c - the control socket and who may connect to it: its file, several clients, hostile ones, and hyve's own client.
 */
#include <sys/stat.h>
#include <sys/un.h>

#include <pthread.h>

#include "control/qmp_client.h"
#include "qmp_fixture.h"

static struct fx fx;
static struct qmp *q;
static char dir[] = "/tmp/hyve-qmp.XXXXXX", path[64];

static void
begin(void)
{
	fx_open(&fx);
	q = qmp_new(&fx.vmm, NULL);
	CHECK(q != NULL && mkdtemp(dir) != NULL);
	(void)snprintf(path, sizeof(path), "%s/control", dir);
}

static void
end(void)
{
	qmp_free(q);
	CHECK_EQ(access(path, F_OK), -1);
	CHECK_EQ(rmdir(dir), 0);
	fx_close(&fx);
}

static int
connect_to(const char *where)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	(void)snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", where);
	CHECKF(connect(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0, "%s", strerror(errno));
	return (fd);
}

/* The file */

TEST(the_socket_is_its_owners_whatever_the_umask_is)
{
	static const mode_t umasks[] = { 0, 022, 077, 0777 };
	struct stat st;

	begin();
	for (size_t i = 0; i < sizeof(umasks) / sizeof(umasks[0]); i++) {
		(void)umask(umasks[i]);
		CHECKF(qmp_listen(q, path) == 0, "%s", vmm_errmsg());
		CHECK_EQ(lstat(path, &st), 0);
		CHECK(S_ISSOCK(st.st_mode));
		CHECK_EQ(st.st_mode & 0777, 0600);
		qmp_free(q);
		CHECK_EQ(access(path, F_OK), -1);
		q = qmp_new(&fx.vmm, NULL);
	}
	end();
}

TEST(a_dead_socket_is_replaced_and_a_live_one_is_not)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	struct qmp *other = NULL;
	char me[160];
	int fd;

	begin();
	/* Somebody who died: the file stays, nobody listens. */
	(void)snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	CHECK_EQ(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	CHECK_EQ(listen(fd, 1), 0);
	close(fd);
	CHECKF(qmp_listen(q, path) == 0, "%s", vmm_errmsg());
	/* A second one is told who has it, and leaves it alone. */
	other = qmp_new(&fx.vmm, NULL);
	CHECK_EQ(qmp_listen(other, path), -1);
	CHECK_EQ(errno, EADDRINUSE);
	(void)snprintf(me, sizeof(me), "process %d answers at '%s'", (int)getpid(), path);
	CHECK_HAS(vmm_errmsg(), me);
	qmp_free(other);
	close(connect_to(path));
	end();
}

TEST(what_is_no_socket_is_left_alone)
{
	char longer[160];
	int fd;

	begin();
	fd = open(path, O_CREAT | O_WRONLY, 0600);
	CHECK(fd >= 0);
	close(fd);
	CHECK_EQ(qmp_listen(q, path), -1);
	CHECK_EQ(errno, EEXIST);
	CHECK_HAS(vmm_errmsg(), "is no socket");
	CHECK_EQ(unlink(path), 0);
	memset(longer, 'x', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	CHECK_EQ(qmp_listen(q, longer), -1);
	CHECK_HAS(vmm_errmsg(), "too long");
	CHECK_EQ(qmp_listen(q, "/nonexistent/control"), -1);
	CHECK_HAS(vmm_errmsg(), "cannot make the socket '/nonexistent/control'");
	CHECK_EQ(qmp_listen(q, ""), -1);
	end();
}

/* What somebody else has put in its place is not ours to remove. */
TEST(only_its_own_file_is_removed)
{
	int fd;

	begin();
	CHECK_EQ(qmp_listen(q, path), 0);
	CHECK_EQ(unlink(path), 0);
	fd = open(path, O_CREAT | O_WRONLY, 0600);
	CHECK(fd >= 0);
	close(fd);
	qmp_free(q);
	CHECK_EQ(access(path, F_OK), 0);
	CHECK_EQ(unlink(path), 0);
	q = NULL;
	end();
}

/* Root only: another user, whom even a mode that lets everybody in does not help. */
TEST(other_users_are_refused)
{
	char word = 0;
	int pair[2], fd;
	ssize_t n;
	pid_t pid;

	if (geteuid() != 0)
		SKIP("needs root, to be somebody else");
	begin();
	CHECK_EQ(qmp_listen(q, path), 0);
	CHECK_EQ(chmod(dir, 0755), 0);
	CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	pid = fork();
	if (pid == 0) {
		struct sockaddr_un addr = { .sun_family = AF_UNIX };

		(void)snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
		fd = socket(AF_UNIX, SOCK_STREAM, 0);
		if (setresuid(12345, 12345, 12345) != 0 || connect(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0 || errno != EACCES)
			_exit(1);
		/* Now it is as if somebody had opened the door. */
		if (write(pair[1], &word, 1) != 1 || read(pair[1], &word, 1) != 1 || connect(fd, (struct sockaddr *)&addr, sizeof(addr)) != 0 ||
		    write(pair[1], &word, 1) != 1)
			_exit(2);
		for (char buf[256]; (n = read(fd, buf, sizeof(buf))) > 0; ) {
			if (memmem(buf, (size_t)n, "\"QMP\"", 5) != NULL)
				_exit(3);
		}
		_exit(0);
	}
	CHECK_EQ(read(pair[0], &word, 1), 1);
	CHECK_EQ(chmod(path, 0666), 0);
	CHECK_EQ(write(pair[0], &word, 1), 1);
	CHECK_EQ(read(pair[0], &word, 1), 1);
	fx_turn(&fx);
	CHECK_HAS(fx.log, "somebody else's process was refused");
	CHECK_EQ(waitpid(pid, &fd, 0), pid);
	CHECK_EQ(fd, 0);
	end();
}

/* Several clients, and hostile ones */

TEST(there_is_a_limit_on_clients)
{
	struct qc c[QMP_PEERS_MAX], more;

	begin();
	for (int i = 0; i < QMP_PEERS_MAX; i++)
		qc_open(&c[i], q, &fx.vmm);
	qc_open(&more, q, &fx.vmm);
	qc_error(&more, "GenericError", "32 clients already");
	qc_gone(&more);
	qc_close(&more);
	/* A place that becomes free is somebody's. */
	qc_close(&c[5]);
	fx_turn(&fx);
	qc_ready(&c[5], q, &fx.vmm);
	for (int i = 0; i < QMP_PEERS_MAX; i++)
		qc_close(&c[i]);
	fx_turn(&fx);
	end();
}

/* How much memory this process has, in KiB. */
static unsigned long
resident(void)
{
	unsigned long total, pages = 0;
	FILE *f = fopen("/proc/self/statm", "r");

	CHECK(f != NULL && fscanf(f, "%lu %lu", &total, &pages) == 2);
	fclose(f);
	return (pages * (unsigned long)sysconf(_SC_PAGESIZE) / 1024);
}

/* One line of 100 MB: one error, no memory, and the connection goes on. */
TEST(a_line_of_100_megabytes_is_not_kept)
{
	enum { PIECE = 65536, PIECES = 1600 };
	char *piece = malloc(PIECE);
	unsigned long before;
	struct qc c, other;

	begin();
	qc_ready(&c, q, &fx.vmm);
	qc_ready(&other, q, &fx.vmm);
	memset(piece, 'x', PIECE);
	before = resident();
	qc_send(&c, "{\"execute\": \"");
	for (int i = 0; i < PIECES; i++) {
		qc_send_n(&c, piece, PIECE);
		/* Others are served meanwhile. */
		if (i % 400 == 0)
			json_decref(qc_ask(&other, "{\"execute\": \"query-version\"}"));
	}
	CHECKF(TEST_SANITIZED || resident() < before + 4096, "%lu KiB more", resident() - before);
	qc_error(&c, "GenericError", "longer than a request may be");
	qc_send(&c, "\"}");
	qc_silent(&c);
	json_decref(qc_ask(&c, "{\"execute\": \"query-version\"}"));
	/* The same outside of a string: brackets are counted, none are kept. */
	memset(piece, '[', PIECE);
	for (int i = 0; i < 32; i++)
		qc_send_n(&c, piece, PIECE);
	qc_error(&c, "GenericError", "longer than a request may be");
	memset(piece, ']', PIECE);
	for (int i = 0; i < 32; i++)
		qc_send_n(&c, piece, PIECE);
	qc_silent(&c);
	json_decref(qc_ask(&c, "{\"execute\": \"query-version\"}"));
	free(piece);
	qc_close(&c);
	qc_close(&other);
	fx_turn(&fx);
	end();
}

/* Requests without end by one who reads no answer: it is not heard any more, and all are answered once it reads. */
TEST(answers_that_nobody_reads_wait_in_bounds)
{
	static const char request[] = "{\"execute\": \"query-qmp-schema\", \"id\": 1}\n";
	unsigned long before;
	unsigned sent = 0, got = 0;
	size_t at = 0;
	struct qc c, other;
	json_t *msg;
	ssize_t n;

	begin();
	qc_ready(&c, q, &fx.vmm);
	qc_ready(&other, q, &fx.vmm);
	before = resident();
	/* Until the kernel takes no more for two hundred turns. */
	for (int idle = 0; idle < 200; qc_turn(&c)) {
		n = send(c.fd, request + at, sizeof(request) - 1 - at, MSG_DONTWAIT);
		idle = n > 0 ? 0 : idle + 1;
		at += n > 0 ? (size_t)n : 0;
		if (at == sizeof(request) - 1) {
			sent++;
			at = 0;
		}
	}
	CHECKF(sent > 100, "%u", sent);
	CHECKF(TEST_SANITIZED || resident() < before + 4096, "%lu KiB more", resident() - before);
	json_decref(qc_ask(&other, "{\"execute\": \"query-version\"}"));
	qc_send_n(&c, request + at, at != 0 ? sizeof(request) - 1 - at : 0);
	sent += at != 0;
	while ((msg = qc_try(&c)) != NULL) {
		CHECK_EQ(json_integer_value(json_object_get(msg, "id")), 1);
		json_decref(msg);
		got++;
	}
	CHECK_EQ(got, sent);
	qc_close(&c);
	qc_close(&other);
	fx_turn(&fx);
	end();
}

/* One who reads no events is hung up on when its queue is full; others have every one. */
TEST(who_reads_no_events_is_hung_up_on)
{
	char filler[4096];
	struct qc deaf, c;
	json_t *data;

	begin();
	memset(filler, 'x', sizeof(filler) - 1);
	filler[sizeof(filler) - 1] = '\0';
	qc_ready(&deaf, q, &fx.vmm);
	qc_ready(&c, q, &fx.vmm);
	for (int i = 0; i < 2000; i++) {
		qmp_event(q, "TEST", json_pack("{s:i, s:s}", "n", i, "filler", filler));
		data = qc_event(&c, "TEST");
		CHECK_EQ(json_integer_value(json_object_get(data, "n")), i);
		json_decref(data);
	}
	CHECK_HAS(fx.log, "does not read its events");
	qc_gone(&deaf);
	json_decref(qc_ask(&c, "{\"execute\": \"query-version\"}"));
	qc_close(&deaf);
	qc_close(&c);
	fx_turn(&fx);
	end();
}

/* hyve's own client, with the server on another thread */

static void *
loop_thread(void *arg)
{
	CHECK_EQ(event_loop_run(fx.vmm.loop), 0);
	return (NULL);
}

static void
post_event(void *arg)
{
	qmp_event(q, arg, NULL);
}

TEST(the_client_asks_and_hears)
{
	struct qmp_client *c;
	json_t *answer;
	pthread_t t;

	begin();
	CHECK_EQ(qmp_listen(q, path), 0);
	CHECK_EQ(pthread_create(&t, NULL, loop_thread, NULL), 0);
	c = qmp_client_open(path, 60000);
	CHECKF(c != NULL, "%s", vmm_errmsg());
	CHECK(json_object_get(qmp_client_greeting(c), "version") != NULL);
	answer = qmp_client_execute(c, "query-version", NULL, 60000);
	CHECKF(answer != NULL, "%s", vmm_errmsg());
	CHECK_HAS(json_string_value(json_object_get(answer, "package")), "hyve");
	json_decref(answer);
	CHECK(qmp_client_execute(c, "query-vresion", NULL, 60000) == NULL);
	CHECK_EQ(errno, EREMOTEIO);
	CHECK_HAS(vmm_errmsg(), "did you mean 'query-version'");
	CHECK_STR(qmp_client_class(c), "CommandNotFound");
	CHECK(qmp_client_execute(c, "query-version", json_pack("{s:i}", "x", 1), 60000) == NULL);
	CHECK_STR(qmp_client_class(c), "GenericError");
	/* Events are kept while answers are waited for. */
	CHECK_EQ(event_post(fx.vmm.loop, post_event, (void *)(uintptr_t)"ONE"), 0);
	CHECK_EQ(event_post(fx.vmm.loop, post_event, (void *)(uintptr_t)"TWO"), 0);
	event_drain(fx.vmm.loop);
	json_decref(qmp_client_execute(c, "query-version", NULL, 60000));
	answer = qmp_client_event(c, "TWO", 60000);
	CHECKF(answer != NULL, "%s", vmm_errmsg());
	json_decref(answer);
	CHECK(qmp_client_event(c, NULL, 10) == NULL);
	CHECK_EQ(errno, ETIMEDOUT);
	event_loop_stop(fx.vmm.loop);
	CHECK_EQ(pthread_join(t, NULL), 0);
	/* Nobody turns the loop: no answer comes. */
	CHECK(qmp_client_execute(c, "query-version", NULL, 10) == NULL);
	CHECK_EQ(errno, ETIMEDOUT);
	qmp_free(q);
	q = NULL;
	CHECK(qmp_client_event(c, NULL, 60000) == NULL);
	CHECK_EQ(errno, ECONNRESET);
	qmp_client_close(c);
	end();
}

/* Whoever is there instead of a server. */
static void
peer_says(const char *text, int error, const char *words)
{
	struct qmp_client *c;
	int fds[2];

	CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	CHECK_EQ(send(fds[1], text, strlen(text), 0), (ssize_t)strlen(text));
	CHECK_EQ(shutdown(fds[1], SHUT_WR), 0);
	c = qmp_client_open_fd(fds[0], "the peer", 60000);
	CHECKF(c == NULL, "%s", text);
	CHECKF(errno == error, "%s: %s", text, strerror(errno));
	CHECK_HAS(vmm_errmsg(), words);
	close(fds[1]);
}

TEST(the_client_is_not_misled)
{
	struct qmp_client *c;
	int fds[2];

	peer_says("", ECONNRESET, "hung up");
	peer_says("SSH-2.0\r\n", EPROTO, "does not speak QMP");
	peer_says("{\"QMP\": {}", ECONNRESET, "hung up");
	peer_says("{\"QMP\" {}}", EPROTO, "does not speak QMP");
	peer_says("[]", EPROTO, "does not speak QMP");
	peer_says("{\"hello\": 1}", EPROTO, "no greeting");
	peer_says("{\"error\": {\"class\": \"GenericError\", \"desc\": \"full\"}}", EPROTO, "full");
	peer_says("{\"QMP\": {}}{\"return\": {}}", ECONNRESET, "hung up");
	peer_says("{\"QMP\": {}}{\"id\": 1}", EPROTO, "that is none");
	peer_says("{\"QMP\": {}}{\"id\": 1, \"error\": {\"desc\": \"no\"}}", EREMOTEIO, "no");
	peer_says("{\"QMP\": {}}{\"error\": {\"class\": 7}}", EPROTO, "without a reason");
	CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	CHECK(qmp_client_open_fd(fds[0], "the peer", 20) == NULL);
	CHECK_EQ(errno, ETIMEDOUT);
	close(fds[1]);
	c = qmp_client_open("/nonexistent/control", 1000);
	CHECK(c == NULL && errno == ENOENT);
	CHECK_HAS(vmm_errmsg(), "/nonexistent/control");
}

TEST_MAIN()
