/* The paths that have changed, for a command's arguments. */
#include "kwatch.h"

#include <stdlib.h>
#include <string.h>

size_t changed_limit;

static size_t hash(const char *path, size_t length)
{
    uint64_t h = 14695981039346656037u; /* FNV-1a */
    for (size_t i = 0; i < length; i++)
        h = (h ^ (unsigned char)path[i]) * 1099511628211u;
    return (size_t)(h ^ h >> 32);
}

/* Where in the table a path is, or would be. */
static size_t find(const struct changed *c, const char *path, size_t length)
{
    size_t at = hash(path, length) & (c->table_size - 1);
    while (c->table[at] != 0) {
        const char *other = c->bytes + c->places[c->table[at] - 1];
        if (strlen(other) == length && memcmp(other, path, length) == 0)
            break;
        at = (at + 1) & (c->table_size - 1);
    }
    return at;
}

/* Room for one more path. The table is at most half full. */
static bool grow(struct changed *c, size_t length)
{
    if (c->used + length + 1 > c->room) {
        size_t room = 2 * (c->used + length + 1);
        char *bytes = realloc(c->bytes, room);
        if (bytes == NULL)
            return false;
        c->bytes = bytes;
        c->room = room;
    }
    if (c->count == c->places_room) {
        size_t room = c->places_room > 0 ? 2 * c->places_room : 32;
        size_t *places = realloc(c->places, room * sizeof *places);
        if (places == NULL)
            return false;
        c->places = places;
        c->places_room = room;
    }
    if (2 * (c->count + 1) > c->table_size) {
        size_t size = c->table_size > 0 ? 2 * c->table_size : 64;
        size_t *table = calloc(size, sizeof *table);
        if (table == NULL)
            return false;
        free(c->table);
        c->table = table;
        c->table_size = size;
        for (size_t i = 0; i < c->count; i++) {
            const char *path = c->bytes + c->places[i];
            table[find(c, path, strlen(path))] = i + 1;
        }
    }
    return true;
}

void changed_add(struct changed *c, const char *path, size_t length)
{
    size_t at;
    if (c->too_many || (c->count > 0 && c->table[find(c, path, length)] != 0))
        return;
    if (c->used + length + 1 + (c->count + 1) * sizeof(char *) > changed_limit ||
        !grow(c, length)) {
        /* What is too much for one run is not kept for it. */
        c->too_many = true;
        return;
    }
    at = find(c, path, length);
    memcpy(c->bytes + c->used, path, length);
    c->bytes[c->used + length] = '\0';
    c->places[c->count] = c->used;
    c->used += length + 1;
    c->table[at] = ++c->count;
}

void changed_clear(struct changed *c)
{
    if (c->table != NULL)
        memset(c->table, 0, c->table_size * sizeof *c->table);
    c->used = c->count = 0;
    c->too_many = false;
}

void changed_free(struct changed *c)
{
    free(c->bytes);
    free(c->places);
    free(c->table);
    memset(c, 0, sizeof *c);
}
