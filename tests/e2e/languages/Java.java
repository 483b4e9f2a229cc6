// SPDX-License-Identifier: Apache-2.0
// usage: see languages.sh
import java.io.RandomAccessFile;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;

public class Java {
    private static void call(String path, String text) throws Exception {
        try (RandomAccessFile file = new RandomAccessFile(path, "rw")) {
            byte[] part = new byte[65536];
            int count;

            file.write(text.getBytes(StandardCharsets.UTF_8));
            while ((count = file.read(part)) > 0) {
                System.out.write(part, 0, count);
                System.out.flush();
            }
        }
    }

    public static void main(String[] args) throws Exception {
        switch (args[0]) {
            case "write" -> Files.writeString(Path.of(args[1]), args[2]);
            case "read" -> System.out.print(Files.readString(Path.of(args[1])));
            default -> call(args[1], args[2]);
        }
    }
}
