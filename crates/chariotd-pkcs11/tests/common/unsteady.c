/* A PKCS#11 module that is SoftHSM until a file in the directory $UNSTEADY tells it otherwise:
 * absent (the token is gone), locked (no PIN is taken), last (one try is left), hang (a signature takes for ever).
 * Each login leaves a line in the file logins. Without anybody's header: only what it changes is declared. */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

typedef unsigned long rv;
typedef rv (*function)();
struct functions {
  struct { unsigned char major, minor; } version;
  function of[68];
};
enum { GET_FUNCTION_LIST = 3, GET_SLOT_LIST = 4, GET_TOKEN_INFO = 6, LOGIN = 18, SIGN_INIT = 42, SIGN = 43 };
#define DEVICE_REMOVED 0x32UL
#define PIN_LOCKED 0xa4UL
#define FINAL_TRY 0x20000UL

static struct functions real, ours;

static char *at(const char *name) {
  static char path[4096];
  const char *dir = getenv("UNSTEADY");
  snprintf(path, sizeof path, "%s/%s", dir ? dir : "/nonexistent", name);
  return path;
}

static int told(const char *name) { return access(at(name), F_OK) == 0; }

static rv get_slot_list(unsigned char present, unsigned long *slots, unsigned long *count) {
  if (told("absent")) {
    *count = 0;
    return 0;
  }
  return real.of[GET_SLOT_LIST](present, slots, count);
}

static rv get_token_info(unsigned long slot, void *info) {
  if (told("absent")) return DEVICE_REMOVED;
  rv outcome = real.of[GET_TOKEN_INFO](slot, info);
  if (told("last")) *(unsigned long *)((char *)info + 96) |= FINAL_TRY;
  return outcome;
}

static rv login(unsigned long session, unsigned long user, void *pin, unsigned long length) {
  FILE *logins = fopen(at("logins"), "a");
  if (logins) {
    fputs("login\n", logins);
    fclose(logins);
  }
  if (told("locked")) return PIN_LOCKED;
  return real.of[LOGIN](session, user, pin, length);
}

static rv sign_init(unsigned long session, void *mechanism, unsigned long key) {
  if (told("absent")) return DEVICE_REMOVED;
  return real.of[SIGN_INIT](session, mechanism, key);
}

static rv sign(unsigned long session, void *data, unsigned long length, void *signature, unsigned long *size) {
  while (told("hang")) usleep(10000);
  return real.of[SIGN](session, data, length, signature, size);
}

rv C_GetFunctionList(struct functions **list) {
  void *library = dlopen(getenv("SOFTHSM"), RTLD_NOW);
  function get = library ? (function)dlsym(library, "C_GetFunctionList") : 0;
  struct functions *found;
  if (!get || get(&found)) return 5;
  real = ours = *found;
  ours.of[GET_FUNCTION_LIST] = (function)C_GetFunctionList;
  ours.of[GET_SLOT_LIST] = (function)get_slot_list;
  ours.of[GET_TOKEN_INFO] = (function)get_token_info;
  ours.of[LOGIN] = (function)login;
  ours.of[SIGN_INIT] = (function)sign_init;
  ours.of[SIGN] = (function)sign;
  *list = &ours;
  return 0;
}
