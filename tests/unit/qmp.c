/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * qmp.c - the control socket's protocol: greeting and negotiation, requests in any pieces, ids, errors and what comes after them, arguments,
 * the schema and that answers are as it says.
 */
#include "control/qmp_table.h"
#include "hold.h"
#include "qmp_fixture.h"

static struct fx fx;
static struct qmp *q;
static struct qc c;

static void
begin(void)
{
	fx_open(&fx);
	q = qmp_new(&fx.vmm, NULL);
	CHECK(q != NULL);
}

static void
end(void)
{
	qmp_free(q);
	fx_close(&fx);
}

static void
ready(void)
{
	begin();
	qc_ready(&c, q, &fx.vmm);
}

static void
done(void)
{
	qc_silent(&c);
	qc_close(&c);
	end();
}

TEST(greeting_names_version_and_capabilities)
{
	json_t *msg, *version;

	begin();
	qc_open(&c, q, &fx.vmm);
	msg = qc_next(&c);
	version = json_object_get(json_object_get(msg, "QMP"), "version");
	CHECK(json_is_integer(json_object_get(json_object_get(version, "qemu"), "major")));
	CHECK_HAS(json_string_value(json_object_get(version, "package")), "hyve ");
	CHECK(json_is_array(json_object_get(json_object_get(msg, "QMP"), "capabilities")));
	json_decref(msg);
	done();
}

TEST(nothing_is_taken_before_the_negotiation)
{
	begin();
	qc_open(&c, q, &fx.vmm);
	json_decref(qc_next(&c));
	qc_send(&c, "{\"execute\": \"query-version\"}");
	qc_error(&c, "CommandNotFound", "qmp_capabilities");
	qc_send(&c, "{\"execute\": \"qmp_capabilities\", \"arguments\": {\"enable\": [\"oob\"]}}");
	qc_error(&c, "GenericError", "no capability 'oob'");
	qc_send(&c, "{\"execute\": \"query-version\"}");
	qc_error(&c, "CommandNotFound", "qmp_capabilities");
	/* Nor is anything told. */
	qmp_event(q, "TEST", NULL);
	qc_silent(&c);
	qc_ok(&c, "{\"execute\": \"qmp_capabilities\", \"arguments\": {\"enable\": []}}");
	json_decref(qc_ask(&c, "{\"execute\": \"query-version\"}"));
	qc_send(&c, "{\"execute\": \"qmp_capabilities\"}");
	qc_error(&c, "CommandNotFound", "already");
	done();
}

TEST(each_client_negotiates_for_itself)
{
	struct qc other;

	ready();
	qc_open(&other, q, &fx.vmm);
	json_decref(qc_next(&other));
	qmp_event(q, "TEST", json_pack("{s:i}", "n", 7));
	json_decref(qc_event(&c, "TEST"));
	qc_silent(&other);
	qc_send(&other, "{\"execute\": \"query-version\"}");
	qc_error(&other, "CommandNotFound", "qmp_capabilities");
	qc_close(&other);
	done();
}

TEST(ids_of_every_type_are_echoed)
{
	static const char *const ids[] = {
		"null", "true", "false", "0", "-9223372036854775808", "9223372036854775807", "1.5", "-2e-3", "\"\"", "\"a \\u00e9 \\\"b\\\\\"",
		"[]", "{}", "[1, [2, {\"x\": null}], \"y\"]", "{\"a\": {\"b\": [true]}}",
	};
	json_t *msg, *id;
	char text[256];

	ready();
	for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
		id = json_loads(ids[i], JSON_DECODE_ANY, NULL);
		CHECKF(id != NULL, "%s", ids[i]);
		for (int bad = 0; bad < 2; bad++) {
			(void)snprintf(text, sizeof(text), "{\"id\": %s, \"execute\": \"%s\"}", ids[i], bad ? "query-version" : "no-such");
			qc_send(&c, text);
			msg = qc_next(&c);
			CHECK(json_object_get(msg, bad ? "return" : "error") != NULL);
			CHECKF(json_equal(json_object_get(msg, "id"), id), "%s became %s", ids[i], json_dumps(msg, 0));
			json_decref(msg);
		}
		json_decref(id);
	}
	/* Without one there is none in the answer. */
	qc_send(&c, "{\"execute\": \"query-version\"}");
	msg = qc_next(&c);
	CHECK(json_object_get(msg, "id") == NULL);
	json_decref(msg);
	done();
}

/* Three requests in two pieces, the first of every possible length; and byte by byte. */
TEST(requests_can_be_split_anywhere)
{
	static const char text[] = "  {\"execute\"\t:\r\n\"query-version\", \"id\": \"}]{[ \\\\\\\" \\u007d\"}\n\n{\"execute\":\"nope\",\"id\":[1,{}]}"
	    "{\"execute\":\"query-events\",\"id\":3}\r\n";
	json_t *msg;

	ready();
	for (size_t at = 0; at <= sizeof(text) - 1; at++) {
		qc_send_n(&c, text, at);
		qc_turn(&c);
		qc_send_n(&c, text + at, sizeof(text) - 1 - at);
		msg = qc_next(&c);
		CHECK_STR(json_string_value(json_object_get(msg, "id")), "}]{[ \\\" }");
		CHECK(json_object_get(msg, "return") != NULL);
		json_decref(msg);
		qc_error(&c, "CommandNotFound", "nope");
		msg = qc_next(&c);
		CHECK_EQ(json_integer_value(json_object_get(msg, "id")), 3);
		json_decref(msg);
	}
	for (size_t at = 0; at < sizeof(text) - 1; at++)
		qc_send_n(&c, text + at, 1);
	json_decref(qc_return(&c));
	qc_error(&c, "CommandNotFound", "nope");
	json_decref(qc_return(&c));
	done();
}

/* Each is one error, and the request behind it is answered. */
TEST(what_is_no_request_is_told_and_got_over)
{
	static const struct { const char *text, *words; } bad[] = {
		{ "hello\n", "begin with a '{'" },
		{ "\"execute\" : 1\n", "begin with a '{'" },
		{ "}}}}\n", "begin with a '{'" },
		{ "17\r\n", "begin with a '{'" },
		{ "{\"execute\" \"stop\"}", "no JSON" },
		{ "{\"execute\": \"stop\",}", "no JSON" },
		{ "{'execute': 'stop'}", "no JSON" },
		{ "{\"execute\": \"a\", \"execute\": \"b\"}", "no JSON" },
		{ "{\"execute\": \"\\ud800\"}", "no JSON" },
		{ "{\"execute\": \"\\u0000\"}", "no JSON" },
		{ "{\"execute\": \"\xc3(\"}", "no JSON" },
		{ "{\"id\": 99999999999999999999999}", "no JSON" },
		{ "[]", "a request is to be an object" },
		{ "[1, {\"execute\": \"query-version\"}]", "a request is to be an object" },
		{ "{}", "'execute' of a request is missing" },
		{ "{\"execute\": 1}", "'execute' of a request is to be a string" },
		{ "{\"exectue\": \"stop\", \"execute\": \"stop\"}", "did you mean 'execute'" },
		{ "{\"exec-oob\": \"stop\"}", "out of band" },
		{ "{\"execute\": \"query-version\", \"arguments\": []}", "the arguments of 'query-version' is to be an object" },
		{ "{\"execute\": \"query-version\n", "does not end in its line" },
		{ "{\"execute\": \x01", "control character" },
		{ "{\"execute\": \"quer\xff", "control character" },
		{ "\xff", "control character" },
		{ "\x1b", "control character" },
	};

	ready();
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		qc_send(&c, bad[i].text);
		qc_error(&c, "GenericError", bad[i].words);
		qc_silent(&c);
		json_decref(qc_ask(&c, "{\"execute\": \"query-version\"}"));
	}
	done();
}

/* Brackets within brackets, more than anybody means. */
TEST(deep_nesting_is_refused)
{
	enum { DEEP = 100000 };
	char *text = malloc(DEEP * 2 + 1);

	ready();
	memset(text, '[', DEEP);
	memset(text + DEEP, ']', DEEP);
	qc_send_n(&c, text, DEEP * 2);
	qc_error(&c, "GenericError", "no JSON");
	json_decref(qc_ask(&c, "{\"execute\": \"query-version\"}"));
	free(text);
	done();
}

/* A request of exactly so many bytes: white space within. */
static void
send_long(size_t len)
{
	static const char head[] = "{\"execute\": \"query-version\"", spaces[] = "                                                                ";

	qc_send(&c, head);
	for (size_t left = len - (sizeof(head) - 1) - 1, n; left != 0; left -= n) {
		n = left < sizeof(spaces) - 1 ? left : sizeof(spaces) - 1;
		qc_send_n(&c, spaces, n);
	}
	qc_send(&c, "}");
}

TEST(a_request_has_a_longest_length)
{
	ready();
	send_long(QMP_REQUEST_MAX);
	json_decref(qc_return(&c));
	send_long(QMP_REQUEST_MAX + 1);
	qc_error(&c, "GenericError", "at most 1048576 bytes");
	qc_silent(&c);
	json_decref(qc_ask(&c, "{\"execute\": \"query-version\"}"));
	done();
}

TEST(unknown_commands_and_arguments_tell_the_nearest)
{
	ready();
	qc_send(&c, "{\"execute\": \"query-verison\"}");
	qc_error(&c, "CommandNotFound", "did you mean 'query-version'");
	qc_send(&c, "{\"execute\": \"\"}");
	qc_error(&c, "CommandNotFound", "query-commands lists them");
	qc_send(&c, "{\"execute\": \"frobnicate-everything\\n\\u00e9\"}");
	qc_error(&c, "CommandNotFound", "frobnicate-everything");
	qc_send(&c, "{\"execute\": \"query-version\", \"arguments\": {\"colour\": 1}}");
	qc_error(&c, "GenericError", "the arguments of 'query-version' has no member 'colour'");
	done();
}

/* Types, as a table of the test's own says. */
TEST(values_are_checked_against_types)
{
	static const struct qmp_member members[] = {
		{ "name", "str", false, "" }, { "count", "int", true, "" }, { "ratio", "number", true, "" }, { "flag", "bool", true, "" },
		{ "list", "[[int]]", true, "" }, { "what", "any", true, "" }, { "version", "VersionTriple", true, "" }, { NULL, NULL, false, NULL },
	};
	static const struct { const char *json, *words; } cases[] = {
		{ "{\"name\": \"x\"}", NULL },
		{ "{\"name\": \"x\", \"count\": 3, \"ratio\": 3, \"flag\": false, \"list\": [[1], []], \"what\": null}", NULL },
		{ "{\"name\": \"x\", \"version\": {\"major\": 1, \"minor\": 2, \"micro\": 3}}", NULL },
		{ "{}", "member 'name' of x is missing" },
		{ "{\"name\": 1}", "member 'name' of x is to be a string" },
		{ "{\"name\": \"x\", \"count\": 1.5}", "to be an integer" },
		{ "{\"name\": \"x\", \"ratio\": \"1\"}", "to be a number" },
		{ "{\"name\": \"x\", \"flag\": 0}", "to be true or false" },
		{ "{\"name\": \"x\", \"list\": 0}", "to be an array" },
		{ "{\"name\": \"x\", \"list\": [[1], 2]}", "element 1 of member 'list' of x is to be an array" },
		{ "{\"name\": \"x\", \"list\": [[1, true]]}", "element 1 of element 0 of member 'list' of x is to be an integer" },
		{ "{\"name\": \"x\", \"version\": {\"major\": 1, \"minor\": 2}}", "member 'micro' of member 'version' of x is missing" },
		{ "{\"name\": \"x\", \"coutn\": 1}", "x has no member 'coutn'; did you mean 'count'?" },
		{ "{\"name\": \"x\", \"zzzzzzzz\": 1}", "x has no member 'zzzzzzzz'" },
		{ "[]", "x is to be an object" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		json_t *val = json_loads(cases[i].json, 0, NULL);
		int r = qmp_check_members(members, val, "x");

		CHECKF((r == 0) == (cases[i].words == NULL), "%s: %s", cases[i].json, vmm_errmsg());
		if (r != 0)
			CHECK_HAS(vmm_errmsg(), cases[i].words);
		json_decref(val);
	}
}

static const json_t *
entry(const json_t *schema, const char *meta, const char *name)
{
	const json_t *e;
	size_t i;

	json_array_foreach(schema, i, e) {
		if (strcmp(json_string_value(json_object_get(e, "name")), name) == 0 &&
		    (meta == NULL || strcmp(json_string_value(json_object_get(e, "meta-type")), meta) == 0))
			return (e);
	}
	return (NULL);
}

/* Every type that is named somewhere is an entry, once. */
static void
check_refers(const json_t *schema, const json_t *e)
{
	static const char *const keys[] = { "arg-type", "ret-type", "element-type" };
	const json_t *member;
	const char *name;
	size_t i;

	for (i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		name = json_string_value(json_object_get(e, keys[i]));
		CHECKF(name == NULL || entry(schema, NULL, name) != NULL, "'%s' is not there", name);
	}
	json_array_foreach(json_object_get(e, "members"), i, member) {
		name = json_string_value(json_object_get(member, "type"));
		CHECKF(name == NULL || entry(schema, NULL, name) != NULL, "'%s' is not there", name);
	}
}

TEST(schema_has_every_command_event_and_type)
{
	json_t *schema, *list;
	const json_t *e;
	size_t i, n;

	ready();
	schema = qc_ask(&c, "{\"execute\": \"query-qmp-schema\"}");
	json_array_foreach(schema, i, e) {
		check_refers(schema, e);
		CHECKF(entry(schema, NULL, json_string_value(json_object_get(e, "name"))) == e, "%s is there twice",
		    json_string_value(json_object_get(e, "name")));
	}
	list = qc_ask(&c, "{\"execute\": \"query-commands\"}");
	for (n = 0; qmp_command_at(n) != NULL; n++) {
		CHECK(entry(schema, "command", qmp_command_at(n)->name) != NULL);
		CHECK_STR(json_string_value(json_object_get(json_array_get(list, n), "name")), qmp_command_at(n)->name);
		/* The manual has a sentence on each. */
		CHECKF(qmp_command_at(n)->help[0] != '\0', "%s", qmp_command_at(n)->name);
	}
	CHECK_EQ(json_array_size(list), n);
	json_decref(list);
	list = qc_ask(&c, "{\"execute\": \"query-events\"}");
	for (n = 0; qmp_event_at(n) != NULL; n++)
		CHECK(entry(schema, "event", qmp_event_at(n)->name) != NULL);
	CHECK_EQ(json_array_size(list), n);
	json_decref(list);
	e = entry(schema, "object", "qmp_capabilities-arg");
	CHECK(json_is_null(json_object_get(json_array_get(json_object_get(e, "members"), 0), "default")));
	json_decref(schema);
	done();
}

/* Who ended a life of the machine, in QMP's words. */
TEST(ends_are_told_with_their_reasons)
{
	static const struct { enum vm_suspend_how how; bool again; const char *host, *event, *reason; bool guest; } ends[] = {
		{ VM_SUSPEND_RESET, true, NULL, "RESET", "guest-reset", true },
		{ VM_SUSPEND_RESET, false, NULL, "SHUTDOWN", "guest-reset", true },
		{ VM_SUSPEND_RESET, true, "host-ui", "RESET", "host-ui", false },
		{ VM_SUSPEND_POWEROFF, false, NULL, "SHUTDOWN", "guest-shutdown", true },
		{ VM_SUSPEND_POWEROFF, false, "host-signal", "SHUTDOWN", "host-signal", false },
		{ VM_SUSPEND_HALT, false, NULL, "SHUTDOWN", "guest-shutdown", true },
		{ VM_SUSPEND_TRIPLEFAULT, false, NULL, "SHUTDOWN", "guest-panic", true },
		{ VM_SUSPEND_DESTROY, false, NULL, "SHUTDOWN", "host-error", false },
	};
	json_t *data;

	ready();
	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		qmp_ended(q, ends[i].how, ends[i].again, ends[i].host);
		data = qc_event(&c, ends[i].event);
		CHECK_EQ(json_is_true(json_object_get(data, "guest")), ends[i].guest);
		CHECK_STR(json_string_value(json_object_get(data, "reason")), ends[i].reason);
		CHECKF(qmp_check_members(qmp_event_find(ends[i].event)->data, data, "the data") == 0, "%s", vmm_errmsg());
		json_decref(data);
	}
	/* A client asks for a reset, and before it comes the guest powers off: that is the guest's. */
	qc_ok(&c, "{\"execute\": \"system_reset\"}");
	qmp_ended(q, VM_SUSPEND_POWEROFF, false, NULL);
	data = qc_event(&c, "SHUTDOWN");
	CHECK_STR(json_string_value(json_object_get(data, "reason")), "guest-shutdown");
	json_decref(data);
	CHECK(!qmp_quitting(q));
	/* The VM was suspended by the request: another one is no error. */
	qc_ok(&c, "{\"execute\": \"system_reset\"}");
	qmp_ended(q, VM_SUSPEND_RESET, true, NULL);
	data = qc_event(&c, "RESET");
	CHECK_STR(json_string_value(json_object_get(data, "reason")), "host-qmp-system-reset");
	json_decref(data);
	qc_ok(&c, "{\"execute\": \"quit\"}");
	CHECK(qmp_quitting(q));
	qmp_ended(q, VM_SUSPEND_RESET, false, NULL);
	data = qc_event(&c, "SHUTDOWN");
	CHECK_STR(json_string_value(json_object_get(data, "reason")), "host-qmp-quit");
	json_decref(data);
	done();
}

/* What needs a machine is refused without one. */
TEST(commands_without_a_machine)
{
	ready();
	qc_send(&c, "{\"execute\": \"system_powerdown\"}");
	qc_error(&c, "GenericError", "no machine");
	qc_send(&c, "{\"execute\": \"inject-nmi\"}");
	qc_error(&c, "GenericError", "no machine");
	qc_send(&c, "{\"execute\": \"query-cpus-fast\"}");
	qc_error(&c, "GenericError", "started anew");
	done();
}

/* The server's stop ends with it. */
TEST(a_server_that_ends_lets_go)
{
	ready();
	qc_ok(&c, "{\"execute\": \"cont\"}");
	CHECK_EQ(vmm_hold(&fx.vmm), 0);
	json_decref(qc_event(&c, "STOP"));
	qc_ok(&c, "{\"execute\": \"stop\"}");
	/* Whoever else holds it goes on doing so. */
	qc_ok(&c, "{\"execute\": \"cont\"}");
	CHECK(vmm_held(&fx.vmm));
	qc_ok(&c, "{\"execute\": \"stop\"}");
	vmm_release(&fx.vmm);
	CHECK(vmm_held(&fx.vmm));
	qc_silent(&c);
	qc_close(&c);
	qmp_free(q);
	CHECK(!vmm_held(&fx.vmm));
	fx_close(&fx);
}

/* Whoever closes the half that it sends by is answered, and only then hung up on. */
TEST(what_was_asked_before_the_end_is_answered)
{
	ready();
	CHECK_EQ(send(c.fd, "{\"execute\": \"query-version\"}{\"execute\": \"query-events\"}", 55, 0), 55);
	CHECK_EQ(shutdown(c.fd, SHUT_WR), 0);
	json_decref(qc_return(&c));
	json_decref(qc_return(&c));
	qc_gone(&c);
	qc_close(&c);
	end();
}

/* One that hangs up in the middle is nobody's loss. */
TEST(a_client_may_hang_up_anywhere)
{
	static const char text[] = "{\"execute\": \"query-version\", \"id\": 1}";

	begin();
	for (size_t at = 0; at < sizeof(text); at++) {
		qc_ready(&c, q, &fx.vmm);
		CHECK_EQ(send(c.fd, text, at, 0), (ssize_t)at);
		qc_close(&c);
		fx_turn(&fx);
	}
	qc_ready(&c, q, &fx.vmm);
	done();
}

TEST_MAIN()
