import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.util.ArrayList;
import java.util.List;

/** A gateway of Java's: starts a program by ProcessBuilder when it is told to, and says how it went. */
public class Spawner {
    private static final List<Process> kept = new ArrayList<>();

    public static void main(String[] args) throws Exception {
        BufferedReader told = new BufferedReader(new InputStreamReader(System.in));
        for (String line = told.readLine(); line != null; line = told.readLine()) {
            try {
                System.out.println(answer(line));
            } catch (IOException refused) {
                System.out.println("refused: " + refused.getMessage());
            }
        }
    }

    private static String answer(String line) throws IOException, InterruptedException {
        switch (line) {
            case "run":
                return "code " + new ProcessBuilder("/bin/echo", "x").start().waitFor();
            case "keep":
                kept.add(new ProcessBuilder("sleep", "600").start());
                return "kept " + kept.size();
            default:
                for (Process one : kept) one.destroyForcibly().waitFor();
                return "none kept";
        }
    }
}
