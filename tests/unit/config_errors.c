/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * config_errors.c - every key that anything declares, with values that break its rule: each is refused, in words that say where it was
 * set, which key it is, what was given and what would do.  What a rule is called is written here a second time.
 */
#include <inttypes.h>

#include "boot/boot.h"
#include "config/config.h"
#include "device.h"
#include "error.h"
#include "firmware/firmware.h"
#include "firmware/smbios.h"
#include "machine/machine.h"
#include "test.h"

static const struct config_origin arg7 = { CONFIG_FROM_ARGUMENT, NULL, 7 };

static unsigned keys;			/* how many were looked at */

/* As people write sizes: with the largest unit. */
static void
size_words(char *buf, size_t size, int64_t n)
{
	const char *unit = "";

	for (const char *const *u = (const char *const []){ "K", "M", "G", "T", NULL }; *u != NULL && n != 0 && n % 1024 == 0; u++) {
		n /= 1024;
		unit = *u;
	}
	(void)snprintf(buf, size, "%" PRId64 "%s", n, unit);
}

static void
rule_words(const struct config_key *key, char *buf, size_t size)
{
	char lo[32], hi[32];
	size_t len = 0;

	switch (key->type) {
	case CONFIG_STRING:
		if (key->max < CONFIG_VALUE_MAX)
			(void)snprintf(buf, size, "a string of at most %" PRId64 " bytes", key->max);
		else
			(void)snprintf(buf, size, "a string");
		return;
	case CONFIG_PATH:
		(void)snprintf(buf, size, "a path");
		return;
	case CONFIG_INT:
		if (key->max == INT64_MAX)
			(void)snprintf(buf, size, "an integer from %" PRId64, key->min);
		else
			(void)snprintf(buf, size, "an integer from %" PRId64 " to %" PRId64, key->min, key->max);
		return;
	case CONFIG_BOOL:
		(void)snprintf(buf, size, "true or false");
		return;
	case CONFIG_SIZE:
	case CONFIG_MEMSIZE:
		size_words(lo, sizeof(lo), key->min);
		size_words(hi, sizeof(hi), key->max);
		(void)snprintf(buf, size, "a size from %s to %s%s", lo, hi, key->type == CONFIG_MEMSIZE ?
		    " (a bare number counts MiB)" : "");
		return;
	case CONFIG_ENUM:
		for (unsigned i = 0; key->choices[i] != NULL; i++)
			len += (size_t)snprintf(buf + len, size - len, "%s%s", i == 0 ? "one of " : ", ", key->choices[i]);
		return;
	case CONFIG_MAC:
		(void)snprintf(buf, size, "a unicast MAC address");
		return;
	case CONFIG_CPUSET:
		(void)snprintf(buf, size, "a list of CPUs such as 0-3,8, below 1024");
		return;
	case CONFIG_UUID:
		(void)snprintf(buf, size, "a UUID");
		return;
	}
}

static void
refuse(struct config *cfg, const char *name, const struct config_key *key, const char *bad)
{
	char rule[300], words[600], shown[80];

	rule_words(key, rule, sizeof(rule));
	(void)snprintf(shown, sizeof(shown), "%.64s%s", bad, strlen(bad) > 64 ? "..." : "");
	(void)snprintf(words, sizeof(words), "argument 7: %s: '%s' is not %s", name, shown, rule);
	errno = 0;
	CHECKF(config_set(cfg, name, bad, &arg7) == -1, "%s took '%.80s'", name, bad);
	CHECK_EQ(errno, EINVAL);
	CHECK_STR(vmm_errmsg(), words);
	CHECK(!config_is_set(config_node(cfg, ""), name));
}

/* The key called name: a value of each kind that it cannot have. */
static void
check_key(struct config *cfg, const char *name, const struct config_key *key)
{
	char text[40], *big;

	keys++;
	switch (key->type) {
	case CONFIG_STRING:
	case CONFIG_PATH:
		/* Any text that is not too long, but for what is not empty. */
		if (key->min > 0)
			refuse(cfg, name, key, "");
		if (key->max < CONFIG_VALUE_MAX) {
			big = malloc((size_t)key->max + 2);
			CHECK(big != NULL);
			memset(big, 'x', (size_t)key->max + 1);
			big[key->max + 1] = '\0';
			refuse(cfg, name, key, big);
			free(big);
		}
		return;
	case CONFIG_INT:
		refuse(cfg, name, key, "");
		refuse(cfg, name, key, "few");
		refuse(cfg, name, key, "1.5");
		(void)snprintf(text, sizeof(text), "%" PRId64, key->min - 1);
		refuse(cfg, name, key, text);
		(void)snprintf(text, sizeof(text), "%" PRIu64, (uint64_t)key->max + 1);
		refuse(cfg, name, key, text);
		return;
	case CONFIG_BOOL:
		refuse(cfg, name, key, "");
		refuse(cfg, name, key, "maybe");
		refuse(cfg, name, key, "2");
		return;
	case CONFIG_SIZE:
	case CONFIG_MEMSIZE:
		refuse(cfg, name, key, "");
		refuse(cfg, name, key, "-1");
		refuse(cfg, name, key, "1KX");
		refuse(cfg, name, key, "big");
		(void)snprintf(text, sizeof(text), "%" PRIu64 "T", ((uint64_t)key->max >> 40) + 1);
		refuse(cfg, name, key, text);
		if (key->type == CONFIG_SIZE && key->min > 0) {
			(void)snprintf(text, sizeof(text), "%" PRId64, key->min - 1);
			refuse(cfg, name, key, text);
		}
		return;
	case CONFIG_ENUM:
		refuse(cfg, name, key, "zzzzzzzzzzzzzzzzzzzz");
		return;
	case CONFIG_MAC:
		refuse(cfg, name, key, "");
		refuse(cfg, name, key, "01:02:03:04:05:06");
		refuse(cfg, name, key, "02:02:03:04:05");
		return;
	case CONFIG_CPUSET:
		refuse(cfg, name, key, "3-1");
		refuse(cfg, name, key, "1024");
		return;
	case CONFIG_UUID:
		refuse(cfg, name, key, "00112233445566778899aabbccddeeff");
		return;
	}
	CHECKF(false, "%s has type %d, which has no bad values here", name, key->type);
}

static void
check_table(struct config *cfg, const char *prefix, const struct config_keys *table)
{
	char name[CONFIG_NAME_MAX + 1];

	for (unsigned i = 0; i < table->nkeys; i++) {
		(void)snprintf(name, sizeof(name), "%s%s", prefix, table->key[i].name);
		check_key(cfg, name, &table->key[i]);
	}
}

static struct config *
tree(void)
{
	struct config *cfg = config_new();

	CHECK(cfg != NULL && config_declare(cfg, "", &config_global_keys) == 0 && config_declare(cfg, "vcpu.*", &config_vcpu_keys) == 0 &&
	    machine_declare(cfg) == 0);
	return (cfg);
}

TEST(keys_of_the_vm)
{
	struct config *cfg = tree();

	check_table(cfg, "", &config_global_keys);
	check_table(cfg, "vcpu.7.", &config_vcpu_keys);
	check_table(cfg, "boot.", &boot_keys);
	check_table(cfg, "boot.module.3.", &boot_module_keys);
	check_table(cfg, "firmware.", &firmware_keys);
	check_table(cfg, "firmware.item.2.", &firmware_item_keys);
	check_table(cfg, "smbios.", &smbios_keys);
	CHECK(keys > 20);
	config_free(cfg);
}

TEST(keys_of_machines)
{
	struct config *cfg = tree();
	const struct machine_class *cls;
	char prefix[64];

	for (unsigned i = 0; (cls = machine_at(i)) != NULL; i++) {
		(void)snprintf(prefix, sizeof(prefix), "%s.", cls->name);
		check_table(cfg, prefix, &cls->keys);
		for (const struct machine_part *part = cls->parts; part->prefix != NULL; part++) {
			(void)snprintf(prefix, sizeof(prefix), "%s.", part->prefix);
			check_table(cfg, prefix, device_class_keys(part->device));
		}
	}
	CHECK(keys > 10);
	config_free(cfg);
}

TEST(keys_of_devices)
{
	const struct device_class *cls;
	struct config *cfg;

	for (unsigned i = 0; (cls = device_class_at(i)) != NULL; i++) {
		cfg = tree();
		CHECK_EQ(config_set(cfg, "pci.0.4.0.device", cls->name, &arg7), 0);
		check_table(cfg, "pci.0.4.0.", &cls->keys);
		config_free(cfg);
	}
	CHECK(keys > 100);
}

/* Names that are wrong by one letter, of all keys: the one that was meant is told. */
TEST(misspelled_keys)
{
	char name[CONFIG_NAME_MAX + 2], words[400], right[CONFIG_NAME_MAX + 1];
	const struct device_class *cls;
	struct config *cfg = tree();

	for (unsigned i = 0; i < config_global_keys.nkeys; i++) {
		(void)snprintf(name, sizeof(name), "%sx", config_global_keys.key[i].name);
		CHECK_EQ(config_set(cfg, name, "1", &arg7), -1);
		CHECK_EQ(errno, ENOENT);
		(void)snprintf(words, sizeof(words), "argument 7: unknown key '%s'; did you mean '%s'?", name,
		    config_global_keys.key[i].name);
		CHECK_STR(vmm_errmsg(), words);
	}
	for (unsigned i = 0; (cls = device_class_at(i)) != NULL; i++) {
		CHECK_EQ(config_set(cfg, "pci.0.4.0.device", cls->name, &arg7), 0);
		for (unsigned k = 0; k < cls->keys.nkeys; k++) {
			(void)snprintf(right, sizeof(right), "pci.0.4.0.%s", cls->keys.key[k].name);
			(void)snprintf(name, sizeof(name), "%sx", right);
			CHECK_EQ(config_set(cfg, name, "1", &arg7), -1);
			(void)snprintf(words, sizeof(words), "argument 7: unknown key '%s'; did you mean '%s'?", name, right);
			CHECK_STR(vmm_errmsg(), words);
		}
	}
	config_free(cfg);
}

TEST_MAIN()
