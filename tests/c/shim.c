/* Stands before getaddrinfo and pthread_create, so that a test can have names
 * that do not resolve, hang or lead to dead addresses, and a process without
 * threads. Loaded with LD_PRELOAD. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef int resolve(const char *, const char *, const struct addrinfo *, struct addrinfo **);
typedef int create(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);

int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints, struct addrinfo **found)
{
    resolve *real = (resolve *)dlsym(RTLD_NEXT, "getaddrinfo");
    size_t length = name ? strlen(name) : 0;
    if (length < 5 || strcmp(name + length - 5, ".test") != 0) {
        return real(name, service, hints, found);
    }
    if (strcmp(name, "nowhere.test") == 0) {
        return EAI_NONAME;
    }
    if (strcmp(name, "again.test") == 0) {
        return EAI_AGAIN;
    }
    if (strncmp(name, "hang", 4) == 0) {
        sleep(30);
        return EAI_AGAIN;
    }
    if (strcmp(name, "two.test") == 0) {
        struct addrinfo *second = NULL;
        int code = real("127.0.0.2", service, hints, found);
        if (code == 0 && (code = real("127.0.0.1", service, hints, &second)) == 0) {
            struct addrinfo *last = *found;
            while (last->ai_next != NULL) {
                last = last->ai_next;
            }
            last->ai_next = second;
        }
        return code;
    }
    return real("127.0.0.1", service, hints, found);
}

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*body)(void *), void *argument)
{
    if (getenv("SHIM_NO_THREADS") != NULL) {
        return EAGAIN;
    }
    return ((create *)dlsym(RTLD_NEXT, "pthread_create"))(thread, attributes, body, argument);
}
