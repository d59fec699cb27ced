/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fuzz_config.c - configuration files of anyone, lines or JSON, into a tree with global keys, a pattern
 * and slots of every device.
 *
 * A tree that passed its check must come out of the dump and go in again the same; and out as JSON, unless it has other bytes than that
 * can have, and in again.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/json.h"
#include "device.h"
#include "error.h"
#include "fuzz.h"
#include "newvm.h"

static const char *const colors[] = { "red", "green", NULL };
static const struct config_key keys[] = {
	KEY_PATH("path", NULL, "path"), KEY_MAC("mac", NULL, "mac"), KEY_CPUSET("cpuset", NULL, "cpus"),
	KEY_ENUM("color", "red", colors, "color"), KEY_SIZE("block", 512, 512, 4096, "size"),
	KEY_STRING("a.b", NULL, "nested"),
};
static const struct config_keys table = { keys, sizeof(keys) / sizeof(keys[0]) };

static const char *const seeds[] = {
	"# a VM\nname=web\ncpus=4\nmemory.size=2G\narch=arm64\n\naccel=soft\nclock=icount\nseed=0x77\n",
	"name=%(uuid)\nuuid=00112233-4455-6677-8899-aabbccddeeff\nport.0.path=/vm/%(name)-100%%.sock\n",
	"pci.0.3.0.device=ns16550\npci.0.3.0.path=stdio\nport.0.mac=02:00:5e:10:00:01\nport.1.cpuset=0-3,8\n",
	"name=%(port.0.a.b)\nport.0.a.b=%(name)\nport.0.color=green\nport.0.block=4K\nmemory.wired=Yes\n",
	"sockets=2\ncores=2\nthreads=2\ncpus=8\nmemory.siez=1\n",
	"{ \"cpus\": 2, \"memory\": { \"size\": \"1G\", \"wired\": true },\n\"port\": [ { \"path\": \"a\" }, { \"color\": \"red\" } ] }",
	" {\"pci\":{\"0\":[{},{},{\"0\":{\"device\":\"virtio-blk\",\"path\":\"\\u00e4%%\",\"queues\":-1e3}}]},\"port.1.mac\":null}",
};

size_t
fuzz_seed(unsigned n, uint8_t *buf, size_t max)
{
	size_t len;

	if (n >= sizeof(seeds) / sizeof(seeds[0]))
		return (0);
	len = strlen(seeds[n]);
	if (len > max)
		len = max;
	memcpy(buf, seeds[n], len);
	return (len);
}

static struct config *
tree(void)
{
	struct config *cfg = config_new();

	if (cfg == NULL || config_declare(cfg, "", &config_global_keys) != 0 ||
	    config_declare(cfg, "port.*", &table) != 0 ||
	    config_declare_slots(cfg, "pci.*.*.*", &device_selector, device_class_keys) != 0)
		abort();
	return (cfg);
}

static char *
dump(struct config *cfg, unsigned flags, size_t *len)
{
	char *text = NULL;
	FILE *f = open_memstream(&text, len);

	if (f == NULL)
		abort();
	config_dump(cfg, f, flags);
	fclose(f);
	return (text);
}

/* Out as JSON and in again. */
static void
go_around(struct config *cfg)
{
	struct config *again = tree();
	json_t *json = config_to_json(cfg, 0), *json2;
	char *text;

	if (json == NULL) {
		if (vmm_errmsg()[0] == '\0')
			abort();
		config_free(again);
		return;
	}
	text = json_dumps(json, 0);
	if (text == NULL || config_load_text(again, "json", text, strlen(text)) != 0 || config_check(again) != 0)
		abort();
	json2 = config_to_json(again, 0);
	if (json2 == NULL || !json_equal(json, json2))
		abort();
	json_decref(json);
	json_decref(json2);
	free(text);
	config_free(again);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct config *cfg = tree(), *again = tree();
	struct vmm_topology topo;
	char *first, *second, *all;
	size_t len, len2;
	int good;

	if (config_load_text(cfg, "fuzz", (const char *)data, size) != 0 && vmm_errmsg()[0] == '\0')
		abort();
	good = config_check(cfg);
	if (good == 0)
		(void)vmm_get_topology(cfg, &topo);
	all = dump(cfg, CONFIG_DUMP_ALL | CONFIG_DUMP_ORIGIN, &len);
	free(all);
	if (good == 0) {
		first = dump(cfg, 0, &len);
		if (config_load_text(again, "dump", first, len) != 0 || config_check(again) != 0)
			abort();
		second = dump(again, 0, &len2);
		if (len != len2 || memcmp(first, second, len) != 0)
			abort();
		free(first);
		free(second);
		go_around(cfg);
	}
	config_free(cfg);
	config_free(again);
	return (0);
}
